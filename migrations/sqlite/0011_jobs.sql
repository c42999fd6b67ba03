-- Resources that background work could not write. The work goes on without each of them, and tries it again at
-- retry_time. subject is that of the job; empty for work that looks for what is due by itself.
CREATE TABLE job_skips (
    shop_id    TEXT    NOT NULL,
    kind       INTEGER NOT NULL,
    subject    TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    attempts   INTEGER NOT NULL,
    retry_time INTEGER NOT NULL,
    error      TEXT    NOT NULL,
    PRIMARY KEY (shop_id, kind, subject, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_skips_by_time ON job_skips (retry_time);
-- How many resources a job has skipped.
ALTER TABLE jobs ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0;
-- Workers take turns between the shops and kinds that have work.
CREATE INDEX jobs_by_pair ON jobs (shop_id, kind, run_at, id) WHERE state <= 2;
