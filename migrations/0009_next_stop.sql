-- The stop that a driver said he does next.

ALTER TABLE drivers ADD COLUMN next_task uuid;

COMMENT ON COLUMN drivers.next_task IS
    'The task that he said he does next; null when he did not. It counts while the task is open and his.';
