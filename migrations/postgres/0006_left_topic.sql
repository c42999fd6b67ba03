-- Under what else than its name the resource was watched until this change, which ended that: for a cart
-- its owner and slot. A watch that resumes is told of the end of its own only.
ALTER TABLE change_log ADD COLUMN left_topic TEXT;
