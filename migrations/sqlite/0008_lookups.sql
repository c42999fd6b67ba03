-- The open carts and the merged ones in the order of pages, beside the many that were ordered.
CREATE INDEX carts_open ON carts (shop_id, id) WHERE state = 1;
CREATE INDEX carts_merged ON carts (shop_id, id) WHERE state = 3;
