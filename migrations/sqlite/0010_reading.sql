-- Finds a group only if it is not hidden: whether a group is hidden or absent costs the same look.
CREATE UNIQUE INDEX groups_visible ON groups (shop_id, (CASE WHEN state <> 2 THEN id END));

-- The sort key of last_name in the first language of the shop. Where customers_index is not that of the
-- program, a job makes these keys and the search texts anew.
ALTER TABLE customers ADD COLUMN last_name_key TEXT NOT NULL DEFAULT '';
CREATE INDEX customers_by_last_name_key ON customers (shop_id, last_name_key, id);
ALTER TABLE shops ADD COLUMN customers_index TEXT NOT NULL DEFAULT '';

-- Folds signs that are left out and letters that are typed differently, in what was folded before.
CREATE TEMP TABLE folds (position INTEGER PRIMARY KEY, character TEXT NOT NULL, letters TEXT NOT NULL);
INSERT INTO temp.folds (character, letters)
    SELECT char(column1), iif(column2 IS NULL, '', char(column2)) FROM (VALUES
    (39, NULL), (96, NULL), (180, NULL), (8216, NULL), (8217, NULL), (8218, NULL),
    (8219, NULL), (8242, NULL), (65287, NULL), (65344, NULL), (697, NULL), (698, NULL),
    (699, NULL), (700, NULL), (701, NULL), (702, NULL), (703, NULL), (712, NULL),
    (714, NULL), (715, NULL), (42891, NULL), (42892, NULL), (1523, NULL), (1600, NULL),
    (173, NULL), (8203, NULL), (8204, NULL), (8205, NULL), (8206, NULL), (8207, NULL),
    (8288, NULL), (8289, NULL), (8290, NULL), (8291, NULL), (8292, NULL), (65279, NULL),
    (8208, 45), (8209, 45), (8210, 45), (8211, 45), (8212, 45), (8213, 45),
    (8722, 45), (1470, 45), (1609, 1610), (1740, 1610), (1705, 1603), (1577, 1607),
    (1726, 1607), (1729, 1607), (1749, 1607), (1649, 1575), (1632, 48), (1633, 49),
    (1634, 50), (1635, 51), (1636, 52), (1637, 53), (1638, 54), (1639, 55),
    (1640, 56), (1641, 57), (1776, 48), (1777, 49), (1778, 50), (1779, 51),
    (1780, 52), (1781, 53), (1782, 54), (1783, 55), (1784, 56), (1785, 57));
UPDATE carts SET note_folded = folded.note, customer_name_folded = folded.name FROM (
    WITH RECURSIVE step (row, position, note, name) AS (
        SELECT c.rowid, 0, c.note_folded, c.customer_name_folded FROM carts c
            WHERE EXISTS (SELECT 1 FROM temp.folds f WHERE instr(c.note_folded, f.character) > 0
                OR instr(c.customer_name_folded, f.character) > 0)
        UNION ALL
        SELECT s.row, f.position, replace(s.note, f.character, f.letters),
            replace(s.name, f.character, f.letters)
            FROM step s JOIN temp.folds f ON f.position = s.position + 1
    )
    SELECT row, note, name FROM step WHERE position = (SELECT MAX(position) FROM temp.folds)
) AS folded WHERE carts.rowid = folded.row;
DROP TABLE temp.folds;
