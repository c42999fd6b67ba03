-- Groups and who is a member of them.

-- One row per group; doc is the whole group, the columns are what is filtered and ordered by, and what
-- carts are priced with.
CREATE TABLE groups (
    shop_id             TEXT    NOT NULL,
    id                  TEXT    NOT NULL,
    version             INTEGER NOT NULL,
    doc                 TEXT    NOT NULL,
    display_names       TEXT    NOT NULL,
    discount_hundredths INTEGER NOT NULL,
    price_display       INTEGER NOT NULL,
    show_prices         INTEGER NOT NULL,
    state               INTEGER NOT NULL,
    audience            INTEGER NOT NULL,
    special             INTEGER NOT NULL,
    priority            INTEGER NOT NULL,
    pricing_revision    INTEGER NOT NULL,
    create_time         INTEGER NOT NULL,
    update_time         INTEGER NOT NULL,
    PRIMARY KEY (shop_id, id)
) STRICT;

-- One row per reason why a customer is a member: at most one per source. Kept for deleted customers.
CREATE TABLE membership_grants (
    shop_id     TEXT    NOT NULL,
    group_id    TEXT    NOT NULL,
    customer_id TEXT    NOT NULL,
    source      INTEGER NOT NULL,
    state       INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    actor       TEXT,
    start_time  INTEGER NOT NULL,
    expire_time INTEGER,
    PRIMARY KEY (shop_id, group_id, customer_id, source)
) STRICT, WITHOUT ROWID;
CREATE INDEX membership_grants_by_customer ON membership_grants (shop_id, customer_id);
CREATE INDEX membership_grants_by_end ON membership_grants (expire_time) WHERE expire_time IS NOT NULL;

-- One row per membership in effect; none of customers that are deleted.
CREATE TABLE memberships (
    shop_id     TEXT NOT NULL,
    group_id    TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    PRIMARY KEY (shop_id, group_id, customer_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships_by_customer ON memberships (shop_id, customer_id);

-- Their sum is the number of members. Each change adds a row, so that sign-ups never wait for each
-- other; now and then several are folded into one.
CREATE TABLE member_counts (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    shop_id  TEXT    NOT NULL,
    group_id TEXT    NOT NULL,
    delta    INTEGER NOT NULL
) STRICT;
CREATE INDEX member_counts_by_group ON member_counts (shop_id, group_id, seq);

-- By trigger, so that no way of changing a membership can leave the count behind.
CREATE TRIGGER memberships_begin AFTER INSERT ON memberships BEGIN
    INSERT INTO member_counts (shop_id, group_id, delta) VALUES (NEW.shop_id, NEW.group_id, 1);
END;
CREATE TRIGGER memberships_end AFTER DELETE ON memberships BEGIN
    INSERT INTO member_counts (shop_id, group_id, delta) VALUES (OLD.shop_id, OLD.group_id, -1);
END;
