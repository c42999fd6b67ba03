-- One row per cart that is not deleted; doc is the whole cart, the columns are what is filtered,
-- ordered or joined. owner is customer:{id} or visitor:{digest of the token}.
CREATE TABLE carts (
    shop_id              TEXT    NOT NULL,
    id                   TEXT    NOT NULL,
    version              INTEGER NOT NULL,
    number               TEXT    NOT NULL,
    owner                TEXT    NOT NULL,
    customer_id          TEXT    NOT NULL,
    visitor_id           TEXT    NOT NULL,
    slot                 TEXT    NOT NULL,
    storefront           TEXT    NOT NULL,
    state                INTEGER NOT NULL,
    currency             TEXT    NOT NULL,
    item_count           INTEGER NOT NULL,
    subtotal_micros      INTEGER NOT NULL,
    discount_micros      INTEGER NOT NULL,
    tax_micros           INTEGER NOT NULL,
    total_micros         INTEGER NOT NULL,
    products             TEXT    NOT NULL,
    attributes           TEXT    NOT NULL,
    order_reference      TEXT,
    shipping_method      TEXT    NOT NULL,
    language_code        TEXT    NOT NULL,
    note                 TEXT    NOT NULL,
    note_folded          TEXT    NOT NULL,
    customer_name        TEXT    NOT NULL,
    customer_name_folded TEXT    NOT NULL,
    customer_kind        INTEGER,
    customer_groups      TEXT    NOT NULL,
    pricing_group        TEXT    NOT NULL,
    create_time          INTEGER NOT NULL,
    update_time          INTEGER NOT NULL,
    order_time           INTEGER,
    doc                  TEXT    NOT NULL,
    PRIMARY KEY (shop_id, id)
) STRICT;
CREATE UNIQUE INDEX carts_by_number ON carts (shop_id, number);
-- The second wall: the first are the locks of the slots.
CREATE UNIQUE INDEX carts_open_by_owner ON carts (shop_id, owner, slot) WHERE state = 1;
CREATE UNIQUE INDEX carts_by_order_reference ON carts (shop_id, order_reference)
    WHERE order_reference IS NOT NULL;
CREATE INDEX carts_by_customer ON carts (shop_id, customer_id, id) WHERE customer_id <> '';
CREATE INDEX carts_open_by_group ON carts (shop_id, pricing_group, id) WHERE state = 1;
CREATE INDEX carts_open_by_age ON carts (shop_id, create_time) WHERE state = 1;
CREATE INDEX carts_by_create_time ON carts (shop_id, create_time, id);
CREATE INDEX carts_by_update_time ON carts (shop_id, update_time, id);
