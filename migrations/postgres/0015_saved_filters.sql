-- Filters that staff keep. doc is the whole resource, the columns are what is filtered and ordered by.
CREATE TABLE saved_filters (
    shop_id      TEXT COLLATE "C" NOT NULL,
    id           TEXT COLLATE "C" NOT NULL,
    version      BIGINT  NOT NULL,
    doc          TEXT    NOT NULL,
    display_name TEXT COLLATE "C" NOT NULL,
    resource     BIGINT  NOT NULL,
    shared       BOOLEAN NOT NULL,
    owner        TEXT COLLATE "C" NOT NULL,
    create_time  BIGINT  NOT NULL,
    update_time  BIGINT  NOT NULL,
    PRIMARY KEY (shop_id, id)
);
