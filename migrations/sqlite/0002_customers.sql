-- Customers with what belongs to one. Times are microseconds since 1970, ids are text; lists and maps
-- that filters look into are packed texts.

-- One row per customer; doc is the whole of it, the other columns are what is looked up, filtered,
-- ordered or joined. search_id is the row's number in customers_search.
CREATE TABLE customers (
    search_id             INTEGER PRIMARY KEY,
    shop_id               TEXT    NOT NULL,
    id                    TEXT    NOT NULL,
    version               INTEGER NOT NULL,
    number                TEXT    NOT NULL,
    email                 TEXT    NOT NULL,
    email_folded          TEXT    NOT NULL,
    email_claim           TEXT,
    first_name            TEXT    NOT NULL,
    first_name_folded     TEXT    NOT NULL,
    last_name             TEXT    NOT NULL,
    last_name_folded      TEXT    NOT NULL,
    company               TEXT    NOT NULL,
    company_folded        TEXT    NOT NULL,
    phone                 TEXT    NOT NULL,
    account_type          INTEGER NOT NULL,
    kind                  INTEGER NOT NULL,
    state                 INTEGER NOT NULL,
    title                 TEXT    NOT NULL,
    language_code         TEXT    NOT NULL,
    storefront            TEXT    NOT NULL,
    default_group         TEXT    NOT NULL,
    group_ids             TEXT    NOT NULL,
    tax_exempt            INTEGER NOT NULL,
    newsletter            INTEGER NOT NULL,
    partner_offers        INTEGER NOT NULL,
    birth_date            TEXT    NOT NULL,
    risk                  INTEGER,
    credit_limit_micros   INTEGER,
    credit_limit_currency TEXT,
    payment_days          INTEGER,
    vat_number            TEXT    NOT NULL,
    accounting_number     TEXT    NOT NULL,
    external_ids          TEXT    NOT NULL,
    attributes            TEXT    NOT NULL,
    search_text           TEXT    NOT NULL,
    summary               TEXT    NOT NULL,
    create_time           INTEGER NOT NULL,
    update_time           INTEGER NOT NULL,
    delete_time           INTEGER,
    doc                   TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX customers_by_id ON customers (shop_id, id);
CREATE UNIQUE INDEX customers_by_number ON customers (shop_id, number);
CREATE UNIQUE INDEX customers_by_email_claim ON customers (shop_id, email_claim) WHERE email_claim IS NOT NULL;
CREATE INDEX customers_by_email ON customers (shop_id, email, id);
CREATE INDEX customers_by_last_name ON customers (shop_id, last_name, id);
CREATE INDEX customers_by_create_time ON customers (shop_id, create_time, id);
CREATE INDEX customers_by_update_time ON customers (shop_id, update_time, id);

-- The index of search_text, kept by the triggers. PostgreSQL has an index of trigrams instead.
CREATE VIRTUAL TABLE customers_search USING fts5 (
    search_text, content = 'customers', content_rowid = 'search_id', tokenize = 'trigram case_sensitive 1'
);
CREATE TRIGGER customers_search_insert AFTER INSERT ON customers BEGIN
    INSERT INTO customers_search (rowid, search_text) VALUES (new.search_id, new.search_text);
END;
CREATE TRIGGER customers_search_update AFTER UPDATE OF search_text ON customers
WHEN old.search_text <> new.search_text BEGIN
    INSERT INTO customers_search (customers_search, rowid, search_text)
        VALUES ('delete', old.search_id, old.search_text);
    INSERT INTO customers_search (rowid, search_text) VALUES (new.search_id, new.search_text);
END;
CREATE TRIGGER customers_search_delete AFTER DELETE ON customers BEGIN
    INSERT INTO customers_search (customers_search, rowid, search_text)
        VALUES ('delete', old.search_id, old.search_text);
END;

-- One row per id that another system gave to a customer.
CREATE TABLE customer_external_ids (
    shop_id     TEXT NOT NULL,
    system      TEXT NOT NULL,
    external_id TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    PRIMARY KEY (shop_id, system, external_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX customer_external_ids_by_customer ON customer_external_ids (shop_id, customer_id);

-- One row per customer with a password; digest is a PHC string. Never joined into anything else.
CREATE TABLE credentials (
    shop_id     TEXT    NOT NULL,
    customer_id TEXT    NOT NULL,
    digest      TEXT    NOT NULL,
    update_time INTEGER NOT NULL,
    PRIMARY KEY (shop_id, customer_id)
) STRICT, WITHOUT ROWID;

-- When a customer was last there.
CREATE TABLE visits (
    shop_id         TEXT    NOT NULL,
    customer_id     TEXT    NOT NULL,
    last_visit_time INTEGER NOT NULL,
    PRIMARY KEY (shop_id, customer_id)
) STRICT, WITHOUT ROWID;

-- One row per postal address; position is its place among those of its customer, oldest first.
CREATE TABLE addresses (
    shop_id     TEXT    NOT NULL,
    customer_id TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    doc         TEXT    NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    PRIMARY KEY (shop_id, customer_id, id)
) STRICT, WITHOUT ROWID;

-- One row per form of address of a shop.
CREATE TABLE titles (
    shop_id     TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    doc         TEXT    NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    PRIMARY KEY (shop_id, id)
) STRICT, WITHOUT ROWID;
