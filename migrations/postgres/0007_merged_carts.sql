-- Saved for later is also what lies in a slot beside `saved`, as `saved-2`: neither abandoned nor cleared
-- as empty.
DROP INDEX carts_to_abandon;
DROP INDEX carts_empty;
CREATE INDEX carts_to_abandon ON carts (shop_id, activity_time, id)
    WHERE state = 1 AND abandonment <> 1 AND item_count > 0
        AND substr(slot || '-', 1, 6) <> 'saved-';
CREATE INDEX carts_empty ON carts (shop_id, activity_time)
    WHERE state = 1 AND item_count = 0 AND substr(slot || '-', 1, 6) <> 'saved-';
-- Merged carts are kept as long as the shop keeps those of their owner's sort; a merge is their last
-- activity.
CREATE INDEX carts_merged_of_visitors ON carts (shop_id, activity_time)
    WHERE state = 3 AND customer_id = '';
CREATE INDEX carts_merged_of_customers ON carts (shop_id, activity_time)
    WHERE state = 3 AND customer_id <> '';
