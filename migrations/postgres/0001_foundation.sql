-- The tables that every area stands on. Times are microseconds since 1970, ids are text.
-- What is ordered by is COLLATE "C", so that both engines order alike.

-- One row per fact about the store itself: its id, its secret, its epoch, the oldest release that may read it.
CREATE TABLE store_meta (
    key   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- One row per shop; doc holds its settings.
CREATE TABLE shops (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    version     BIGINT NOT NULL,
    doc         TEXT   NOT NULL,
    create_time BIGINT NOT NULL,
    update_time BIGINT NOT NULL
);

-- One row per API key; only the SHA-256 of the key is kept. Without a shop it is an operator's.
CREATE TABLE api_keys (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    shop_id     TEXT COLLATE "C",
    digest      BYTEA  NOT NULL UNIQUE,
    doc         TEXT   NOT NULL,
    expire_time BIGINT,
    revoke_time BIGINT,
    create_time BIGINT NOT NULL
);
CREATE INDEX api_keys_by_shop ON api_keys (shop_id, id);

-- The next number of each of a shop's counters (customer and cart numbers).
CREATE TABLE sequences (
    shop_id TEXT COLLATE "C" NOT NULL,
    name    TEXT COLLATE "C" NOT NULL,
    next    BIGINT NOT NULL,
    PRIMARY KEY (shop_id, name)
);

-- One row per change of a resource: the truth for every stream, and the record of its request id.
-- A sequence alone is not an order of commits here, hence (xid, seq), read below the horizon only.
CREATE TABLE change_log (
    seq            BIGINT GENERATED ALWAYS AS IDENTITY,
    xid            BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    shop_id        TEXT COLLATE "C" NOT NULL,
    kind           BIGINT  NOT NULL,
    resource_id    TEXT COLLATE "C" NOT NULL,
    version        BIGINT  NOT NULL,
    mark           BIGINT  NOT NULL,
    deleted        BOOLEAN NOT NULL,
    payload        BYTEA,
    payload_key_id TEXT,
    request_id     TEXT COLLATE "C",
    request_digest BYTEA,
    key_id         TEXT    NOT NULL,
    actor          TEXT,
    on_behalf_of   TEXT,
    commit_time    BIGINT  NOT NULL,
    PRIMARY KEY (xid, seq)
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE UNIQUE INDEX change_log_by_request ON change_log (shop_id, request_id) WHERE request_id IS NOT NULL;
CREATE INDEX change_log_by_time ON change_log (commit_time);

-- The answers of requests whose answer is not the payload of their row in change_log.
CREATE TABLE answers (
    shop_id     TEXT COLLATE "C" NOT NULL,
    request_id  TEXT COLLATE "C" NOT NULL,
    digest      BYTEA  NOT NULL,
    answer      BYTEA,
    names       TEXT   NOT NULL,
    create_time BIGINT NOT NULL,
    PRIMARY KEY (shop_id, request_id)
);
CREATE INDEX answers_by_time ON answers (create_time);

-- The last version of a deleted name, from which a name created again goes on.
CREATE TABLE tombstones (
    shop_id     TEXT COLLATE "C" NOT NULL,
    kind        BIGINT NOT NULL,
    id          TEXT COLLATE "C" NOT NULL,
    version     BIGINT NOT NULL,
    delete_time BIGINT NOT NULL,
    PRIMARY KEY (shop_id, kind, id)
);

-- Background work. state and kind have the numbers of the contract. run_at is when it may be taken next:
-- its time, that of its next attempt, or the end of its worker's lease. xid is the transaction that
-- asked for it last, or claimed it.
CREATE TABLE jobs (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    shop_id      TEXT COLLATE "C" NOT NULL,
    kind         BIGINT NOT NULL,
    subject      TEXT COLLATE "C" NOT NULL,
    state        BIGINT NOT NULL,
    cursor       TEXT NOT NULL,
    progress     BIGINT NOT NULL,
    doc          TEXT NOT NULL,
    key_id       TEXT NOT NULL,
    actor        TEXT,
    on_behalf_of TEXT,
    lease_owner  TEXT,
    run_at       BIGINT NOT NULL,
    attempts     BIGINT NOT NULL,
    xid          BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    create_time  BIGINT NOT NULL,
    update_time  BIGINT NOT NULL,
    end_time     BIGINT,
    error        TEXT
);
CREATE UNIQUE INDEX jobs_waiting ON jobs (shop_id, kind, subject) WHERE state = 1 AND attempts = 0;
CREATE INDEX jobs_by_turn ON jobs (run_at, id) WHERE state <= 2;
CREATE INDEX jobs_by_subject ON jobs (shop_id, kind, subject, create_time);
CREATE INDEX jobs_by_time ON jobs (shop_id, create_time, id);
CREATE INDEX jobs_by_end ON jobs (end_time) WHERE end_time IS NOT NULL;
