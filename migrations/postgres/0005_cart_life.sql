-- The life of a cart: what of it is held and by whom, and whether it was left alone.
-- lock_expire_time moves with every heartbeat of the holder, so it is in no document and no version.
ALTER TABLE carts ADD COLUMN display_name TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE carts ADD COLUMN freeze_mode BIGINT NOT NULL DEFAULT 0;
ALTER TABLE carts ADD COLUMN lock_holder TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE carts ADD COLUMN lock_expire_time BIGINT;
ALTER TABLE carts ADD COLUMN activity_time BIGINT NOT NULL DEFAULT 0;
ALTER TABLE carts ADD COLUMN abandonment BIGINT NOT NULL DEFAULT 0;
ALTER TABLE carts ADD COLUMN abandon_time BIGINT;
UPDATE carts SET activity_time = update_time;
-- Retention goes by activity now.
DROP INDEX carts_open_by_age;
CREATE INDEX carts_open_by_activity ON carts (shop_id, activity_time) WHERE state = 1;
-- What a look for carts to abandon, or for empty ones, goes through: not the many that were found before.
CREATE INDEX carts_to_abandon ON carts (shop_id, activity_time, id)
    WHERE state = 1 AND abandonment <> 1 AND item_count > 0 AND slot <> 'saved';
CREATE INDEX carts_empty ON carts (shop_id, activity_time)
    WHERE state = 1 AND item_count = 0 AND slot <> 'saved';
CREATE INDEX carts_by_lock ON carts (lock_expire_time) WHERE lock_expire_time IS NOT NULL;

-- Recovery links that were redeemed, until they would have expired.
CREATE TABLE used_links (
    shop_id     TEXT COLLATE "C" NOT NULL,
    nonce       TEXT COLLATE "C" NOT NULL,
    expire_time BIGINT NOT NULL,
    PRIMARY KEY (shop_id, nonce)
);
CREATE INDEX used_links_by_expire_time ON used_links (expire_time);
