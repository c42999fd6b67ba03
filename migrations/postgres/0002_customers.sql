-- Customers with what belongs to one. Times are microseconds since 1970, ids are text; lists and maps
-- that filters look into are packed texts. What is ordered by is COLLATE "C", so that both engines
-- order alike.

-- One row per customer; doc is the whole of it, the other columns are what is looked up, filtered,
-- ordered or joined. search_id is what the index of search needs on the other engine.
CREATE TABLE customers (
    search_id             BIGINT GENERATED ALWAYS AS IDENTITY,
    shop_id               TEXT COLLATE "C" NOT NULL,
    id                    TEXT COLLATE "C" NOT NULL,
    version               BIGINT  NOT NULL,
    number                TEXT COLLATE "C" NOT NULL,
    email                 TEXT COLLATE "C" NOT NULL,
    email_folded          TEXT COLLATE "C" NOT NULL,
    email_claim           TEXT COLLATE "C",
    first_name            TEXT COLLATE "C" NOT NULL,
    first_name_folded     TEXT COLLATE "C" NOT NULL,
    last_name             TEXT COLLATE "C" NOT NULL,
    last_name_folded      TEXT COLLATE "C" NOT NULL,
    company               TEXT COLLATE "C" NOT NULL,
    company_folded        TEXT COLLATE "C" NOT NULL,
    phone                 TEXT COLLATE "C" NOT NULL,
    account_type          BIGINT  NOT NULL,
    kind                  BIGINT  NOT NULL,
    state                 BIGINT  NOT NULL,
    title                 TEXT COLLATE "C" NOT NULL,
    language_code         TEXT COLLATE "C" NOT NULL,
    storefront            TEXT COLLATE "C" NOT NULL,
    default_group         TEXT COLLATE "C" NOT NULL,
    group_ids             TEXT COLLATE "C" NOT NULL,
    tax_exempt            BOOLEAN NOT NULL,
    newsletter            BOOLEAN NOT NULL,
    partner_offers        BOOLEAN NOT NULL,
    birth_date            TEXT COLLATE "C" NOT NULL,
    risk                  BIGINT,
    credit_limit_micros   BIGINT,
    credit_limit_currency TEXT COLLATE "C",
    payment_days          BIGINT,
    vat_number            TEXT COLLATE "C" NOT NULL,
    accounting_number     TEXT COLLATE "C" NOT NULL,
    external_ids          TEXT COLLATE "C" NOT NULL,
    attributes            TEXT COLLATE "C" NOT NULL,
    search_text           TEXT COLLATE "C" NOT NULL,
    summary               TEXT    NOT NULL,
    create_time           BIGINT  NOT NULL,
    update_time           BIGINT  NOT NULL,
    delete_time           BIGINT,
    doc                   TEXT    NOT NULL,
    PRIMARY KEY (shop_id, id)
);
CREATE UNIQUE INDEX customers_by_number ON customers (shop_id, number);
CREATE UNIQUE INDEX customers_by_email_claim ON customers (shop_id, email_claim) WHERE email_claim IS NOT NULL;
CREATE INDEX customers_by_email ON customers (shop_id, email, id);
CREATE INDEX customers_by_last_name ON customers (shop_id, last_name, id);
CREATE INDEX customers_by_create_time ON customers (shop_id, create_time, id);
CREATE INDEX customers_by_update_time ON customers (shop_id, update_time, id);

CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE INDEX customers_by_search_text ON customers USING gin (search_text gin_trgm_ops);

-- One row per id that another system gave to a customer.
CREATE TABLE customer_external_ids (
    shop_id     TEXT COLLATE "C" NOT NULL,
    system      TEXT COLLATE "C" NOT NULL,
    external_id TEXT COLLATE "C" NOT NULL,
    customer_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (shop_id, system, external_id)
);
CREATE INDEX customer_external_ids_by_customer ON customer_external_ids (shop_id, customer_id);

-- One row per customer with a password; digest is a PHC string. Never joined into anything else.
CREATE TABLE credentials (
    shop_id     TEXT COLLATE "C" NOT NULL,
    customer_id TEXT COLLATE "C" NOT NULL,
    digest      TEXT   NOT NULL,
    update_time BIGINT NOT NULL,
    PRIMARY KEY (shop_id, customer_id)
);

-- When a customer was last there.
CREATE TABLE visits (
    shop_id         TEXT COLLATE "C" NOT NULL,
    customer_id     TEXT COLLATE "C" NOT NULL,
    last_visit_time BIGINT NOT NULL,
    PRIMARY KEY (shop_id, customer_id)
);

-- One row per postal address; position is its place among those of its customer, oldest first.
CREATE TABLE addresses (
    shop_id     TEXT COLLATE "C" NOT NULL,
    customer_id TEXT COLLATE "C" NOT NULL,
    id          TEXT COLLATE "C" NOT NULL,
    version     BIGINT NOT NULL,
    position    BIGINT NOT NULL,
    doc         TEXT   NOT NULL,
    create_time BIGINT NOT NULL,
    update_time BIGINT NOT NULL,
    PRIMARY KEY (shop_id, customer_id, id)
);

-- One row per form of address of a shop.
CREATE TABLE titles (
    shop_id     TEXT COLLATE "C" NOT NULL,
    id          TEXT COLLATE "C" NOT NULL,
    version     BIGINT NOT NULL,
    doc         TEXT   NOT NULL,
    create_time BIGINT NOT NULL,
    update_time BIGINT NOT NULL,
    PRIMARY KEY (shop_id, id)
);
