-- Finds a group only if it is not hidden: whether a group is hidden or absent costs the same look.
CREATE UNIQUE INDEX groups_visible ON groups (shop_id, (CASE WHEN state <> 2 THEN id END));
