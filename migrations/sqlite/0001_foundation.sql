-- The tables that every area stands on. Times are microseconds since 1970, ids are text.

-- One row per fact about the store itself: its id, its secret, its epoch, the oldest release that may read it.
CREATE TABLE store_meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- One row per shop; doc holds its settings.
CREATE TABLE shops (
    id          TEXT    NOT NULL PRIMARY KEY,
    version     INTEGER NOT NULL,
    doc         TEXT    NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL
) STRICT;

-- One row per API key; only the SHA-256 of the key is kept. Without a shop it is an operator's.
CREATE TABLE api_keys (
    id          TEXT    NOT NULL PRIMARY KEY,
    shop_id     TEXT,
    digest      BLOB    NOT NULL UNIQUE,
    doc         TEXT    NOT NULL,
    expire_time INTEGER,
    revoke_time INTEGER,
    create_time INTEGER NOT NULL
) STRICT;
CREATE INDEX api_keys_by_shop ON api_keys (shop_id, id);

-- The next number of each of a shop's counters (customer and cart numbers).
CREATE TABLE sequences (
    shop_id TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    next    INTEGER NOT NULL,
    PRIMARY KEY (shop_id, name)
) STRICT, WITHOUT ROWID;

-- One row per change of a resource: the truth for every stream, and the record of its request id.
-- The single writer makes the order of seq the order of commits, so xid is always 0 here.
CREATE TABLE change_log (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    xid            INTEGER NOT NULL DEFAULT 0,
    shop_id        TEXT    NOT NULL,
    kind           INTEGER NOT NULL,
    resource_id    TEXT    NOT NULL,
    version        INTEGER NOT NULL,
    mark           INTEGER NOT NULL,
    deleted        INTEGER NOT NULL,
    payload        BLOB,
    payload_key_id TEXT,
    request_id     TEXT,
    request_digest BLOB,
    key_id         TEXT    NOT NULL,
    actor          TEXT,
    on_behalf_of   TEXT,
    commit_time    INTEGER NOT NULL
) STRICT;
CREATE INDEX change_log_by_position ON change_log (xid, seq);
CREATE UNIQUE INDEX change_log_by_request ON change_log (shop_id, request_id) WHERE request_id IS NOT NULL;
CREATE INDEX change_log_by_time ON change_log (commit_time);

-- The answers of requests whose answer is not the payload of their row in change_log.
CREATE TABLE answers (
    shop_id     TEXT    NOT NULL,
    request_id  TEXT    NOT NULL,
    digest      BLOB    NOT NULL,
    answer      BLOB,
    names       TEXT    NOT NULL,
    create_time INTEGER NOT NULL,
    PRIMARY KEY (shop_id, request_id)
) STRICT;
CREATE INDEX answers_by_time ON answers (create_time);

-- The last version of a deleted name, from which a name created again goes on.
CREATE TABLE tombstones (
    shop_id     TEXT    NOT NULL,
    kind        INTEGER NOT NULL,
    id          TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    delete_time INTEGER NOT NULL,
    PRIMARY KEY (shop_id, kind, id)
) STRICT, WITHOUT ROWID;

-- Background work. state and kind have the numbers of the contract. run_at is when it may be taken next:
-- its time, that of its next attempt, or the end of its worker's lease. xid is the transaction that
-- asked for it last, or claimed it.
CREATE TABLE jobs (
    id           TEXT NOT NULL PRIMARY KEY,
    shop_id      TEXT NOT NULL,
    kind         INTEGER NOT NULL,
    subject      TEXT NOT NULL,
    state        INTEGER NOT NULL,
    cursor       TEXT NOT NULL,
    progress     INTEGER NOT NULL,
    doc          TEXT NOT NULL,
    key_id       TEXT NOT NULL,
    actor        TEXT,
    on_behalf_of TEXT,
    lease_owner  TEXT,
    run_at       INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    xid          INTEGER NOT NULL DEFAULT 0,
    create_time  INTEGER NOT NULL,
    update_time  INTEGER NOT NULL,
    end_time     INTEGER,
    error        TEXT
) STRICT;
CREATE UNIQUE INDEX jobs_waiting ON jobs (shop_id, kind, subject) WHERE state = 1 AND attempts = 0;
CREATE INDEX jobs_by_turn ON jobs (run_at, id) WHERE state <= 2;
CREATE INDEX jobs_by_subject ON jobs (shop_id, kind, subject, create_time);
CREATE INDEX jobs_by_time ON jobs (shop_id, create_time, id);
CREATE INDEX jobs_by_end ON jobs (end_time) WHERE end_time IS NOT NULL;
