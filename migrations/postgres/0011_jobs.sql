-- Resources that background work could not write. The work goes on without each of them, and tries it again at
-- retry_time. subject is that of the job; empty for work that looks for what is due by itself.
CREATE TABLE job_skips (
    shop_id    TEXT COLLATE "C" NOT NULL,
    kind       BIGINT NOT NULL,
    subject    TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    attempts   BIGINT NOT NULL,
    retry_time BIGINT NOT NULL,
    error      TEXT NOT NULL,
    PRIMARY KEY (shop_id, kind, subject, id)
);
CREATE INDEX job_skips_by_time ON job_skips (retry_time);
-- How many resources a job has skipped.
ALTER TABLE jobs ADD COLUMN skipped BIGINT NOT NULL DEFAULT 0;
-- Workers take turns between the shops and kinds that have work.
CREATE INDEX jobs_by_pair ON jobs (shop_id, kind, run_at, id) WHERE state <= 2;
