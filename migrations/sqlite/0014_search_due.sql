-- Customers whose search_text changed in the present transaction, with the text under which customers_search
-- has them; NULL if it has none. The index takes all of them at once, before the commit: taking each by
-- itself costs several times as much.
CREATE TABLE customers_search_due (
    search_id   INTEGER PRIMARY KEY,
    search_text TEXT
) STRICT;
DROP TRIGGER customers_search_insert;
DROP TRIGGER customers_search_update;
DROP TRIGGER customers_search_delete;
CREATE TRIGGER customers_search_insert AFTER INSERT ON customers BEGIN
    INSERT INTO customers_search_due (search_id, search_text) VALUES (new.search_id, NULL)
        ON CONFLICT (search_id) DO NOTHING;
END;
CREATE TRIGGER customers_search_update AFTER UPDATE OF search_text ON customers
WHEN old.search_text <> new.search_text BEGIN
    INSERT INTO customers_search_due (search_id, search_text) VALUES (old.search_id, old.search_text)
        ON CONFLICT (search_id) DO NOTHING;
END;
CREATE TRIGGER customers_search_delete AFTER DELETE ON customers BEGIN
    INSERT INTO customers_search_due (search_id, search_text) VALUES (old.search_id, old.search_text)
        ON CONFLICT (search_id) DO NOTHING;
END;
