-- What was there before a meter, counted step by step. id: the version of meter_head that begins it. Records
-- from position to before until_position are still to be counted, began_position is where it began. requests:
-- positions of lanes at its beginning. done: 1 when there is nothing left.
CREATE TABLE meter_backfills (
  id BIGINT NOT NULL PRIMARY KEY,
  began_position BIGINT NOT NULL,
  position BIGINT NOT NULL,
  until_position BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  done BIGINT NOT NULL
);

-- Lanes whose raw decisions are not all counted. Blocks that begin from next to before upto are left; their
-- decisions end before `ends`, and shipments leave those to it.
CREATE TABLE meter_backfill_lanes (
  backfill BIGINT NOT NULL,
  boot BIGINT NOT NULL,
  lane BIGINT NOT NULL,
  next BIGINT NOT NULL,
  upto BIGINT NOT NULL,
  ends BIGINT NOT NULL,
  PRIMARY KEY (backfill, boot, lane)
) /*WITHOUT_ROWID*/;
CREATE INDEX meter_backfill_lanes_by_lane ON meter_backfill_lanes (boot, lane);

-- What counts the past of a series; NULL of those from before there was that.
ALTER TABLE meter_series ADD COLUMN backfill BIGINT;
