-- What has ended goes shop by shop, without a look at what has not.
CREATE INDEX jobs_by_shop_and_end ON jobs (shop_id, end_time) WHERE end_time IS NOT NULL;
CREATE INDEX answers_by_shop_and_time ON answers (shop_id, create_time);
CREATE INDEX used_links_by_shop_and_time ON used_links (shop_id, expire_time);
CREATE INDEX membership_grants_by_shop_and_end ON membership_grants (shop_id, expire_time)
    WHERE expire_time IS NOT NULL;
