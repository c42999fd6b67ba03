-- Filters that staff keep. doc is the whole resource, the columns are what is filtered and ordered by.
CREATE TABLE saved_filters (
    shop_id      TEXT    NOT NULL,
    id           TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    doc          TEXT    NOT NULL,
    display_name TEXT    NOT NULL,
    resource     INTEGER NOT NULL,
    shared       INTEGER NOT NULL,
    owner        TEXT    NOT NULL,
    create_time  INTEGER NOT NULL,
    update_time  INTEGER NOT NULL,
    PRIMARY KEY (shop_id, id)
) STRICT, WITHOUT ROWID;
