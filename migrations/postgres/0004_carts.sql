-- One row per cart that is not deleted; doc is the whole cart, the columns are what is filtered,
-- ordered or joined. owner is customer:{id} or visitor:{digest of the token}.
CREATE TABLE carts (
    shop_id              TEXT COLLATE "C" NOT NULL,
    id                   TEXT COLLATE "C" NOT NULL,
    version              BIGINT  NOT NULL,
    number               TEXT COLLATE "C" NOT NULL,
    owner                TEXT COLLATE "C" NOT NULL,
    customer_id          TEXT COLLATE "C" NOT NULL,
    visitor_id           TEXT COLLATE "C" NOT NULL,
    slot                 TEXT COLLATE "C" NOT NULL,
    storefront           TEXT COLLATE "C" NOT NULL,
    state                BIGINT  NOT NULL,
    currency             TEXT COLLATE "C" NOT NULL,
    item_count           BIGINT  NOT NULL,
    subtotal_micros      BIGINT  NOT NULL,
    discount_micros      BIGINT  NOT NULL,
    tax_micros           BIGINT  NOT NULL,
    total_micros         BIGINT  NOT NULL,
    products             TEXT COLLATE "C" NOT NULL,
    attributes           TEXT COLLATE "C" NOT NULL,
    order_reference      TEXT COLLATE "C",
    shipping_method      TEXT COLLATE "C" NOT NULL,
    language_code        TEXT COLLATE "C" NOT NULL,
    note                 TEXT COLLATE "C" NOT NULL,
    note_folded          TEXT COLLATE "C" NOT NULL,
    customer_name        TEXT COLLATE "C" NOT NULL,
    customer_name_folded TEXT COLLATE "C" NOT NULL,
    customer_kind        BIGINT,
    customer_groups      TEXT COLLATE "C" NOT NULL,
    pricing_group        TEXT COLLATE "C" NOT NULL,
    create_time          BIGINT  NOT NULL,
    update_time          BIGINT  NOT NULL,
    order_time           BIGINT,
    doc                  TEXT    NOT NULL,
    PRIMARY KEY (shop_id, id)
);
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
