-- unsummed: records of journals that were lost before they were summed up; requests of theirs count without what they
-- used of models.
ALTER TABLE meter_backfills ADD COLUMN unsummed BIGINT NOT NULL DEFAULT 0;

-- waits_from_us: since when a lane stands still at waits_upto while its sums are waited for. settled: 1 when its past is
-- counted without them; the row stays so that shipments, should they come, leave what lies before `ends`.
ALTER TABLE meter_backfill_lanes ADD COLUMN waits_from_us BIGINT;
ALTER TABLE meter_backfill_lanes ADD COLUMN waits_upto BIGINT;
ALTER TABLE meter_backfill_lanes ADD COLUMN settled BIGINT NOT NULL DEFAULT 0;
