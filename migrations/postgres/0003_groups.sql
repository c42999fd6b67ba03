-- Groups and who is a member of them.

-- One row per group; doc is the whole group, the columns are what is filtered and ordered by, and what
-- carts are priced with.
CREATE TABLE groups (
    shop_id             TEXT COLLATE "C" NOT NULL,
    id                  TEXT COLLATE "C" NOT NULL,
    version             BIGINT  NOT NULL,
    doc                 TEXT    NOT NULL,
    display_names       TEXT COLLATE "C" NOT NULL,
    discount_hundredths BIGINT  NOT NULL,
    price_display       BIGINT  NOT NULL,
    show_prices         BOOLEAN NOT NULL,
    state               BIGINT  NOT NULL,
    audience            BIGINT  NOT NULL,
    special             BIGINT  NOT NULL,
    priority            BIGINT  NOT NULL,
    pricing_revision    BIGINT  NOT NULL,
    create_time         BIGINT  NOT NULL,
    update_time         BIGINT  NOT NULL,
    PRIMARY KEY (shop_id, id)
);

-- One row per reason why a customer is a member: at most one per source. Kept for deleted customers.
CREATE TABLE membership_grants (
    shop_id     TEXT COLLATE "C" NOT NULL,
    group_id    TEXT COLLATE "C" NOT NULL,
    customer_id TEXT COLLATE "C" NOT NULL,
    source      BIGINT NOT NULL,
    state       BIGINT NOT NULL,
    reason      TEXT   NOT NULL,
    actor       TEXT,
    start_time  BIGINT NOT NULL,
    expire_time BIGINT,
    PRIMARY KEY (shop_id, group_id, customer_id, source)
);
CREATE INDEX membership_grants_by_customer ON membership_grants (shop_id, customer_id);
CREATE INDEX membership_grants_by_end ON membership_grants (expire_time) WHERE expire_time IS NOT NULL;

-- One row per membership in effect; none of customers that are deleted.
CREATE TABLE memberships (
    shop_id     TEXT COLLATE "C" NOT NULL,
    group_id    TEXT COLLATE "C" NOT NULL,
    customer_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (shop_id, group_id, customer_id)
);
CREATE INDEX memberships_by_customer ON memberships (shop_id, customer_id);

-- Their sum is the number of members. Each change adds a row, so that sign-ups never wait for each
-- other; now and then several are folded into one.
CREATE TABLE member_counts (
    seq      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shop_id  TEXT COLLATE "C" NOT NULL,
    group_id TEXT COLLATE "C" NOT NULL,
    delta    BIGINT NOT NULL
);
CREATE INDEX member_counts_by_group ON member_counts (shop_id, group_id, seq);

-- By trigger, so that no way of changing a membership can leave the count behind.
CREATE FUNCTION memberships_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO member_counts (shop_id, group_id, delta) VALUES (NEW.shop_id, NEW.group_id, 1);
    ELSE
        INSERT INTO member_counts (shop_id, group_id, delta) VALUES (OLD.shop_id, OLD.group_id, -1);
    END IF;
    RETURN NULL;
END;
$$;
CREATE TRIGGER memberships_begin AFTER INSERT ON memberships
    FOR EACH ROW EXECUTE FUNCTION memberships_counted();
CREATE TRIGGER memberships_end AFTER DELETE ON memberships
    FOR EACH ROW EXECUTE FUNCTION memberships_counted();
