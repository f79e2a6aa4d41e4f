-- How many streams each node has been given, live and reserved, so that a claim can heed its node's bound in the moment it is made.
-- The triggers keep it right whoever changes a claim. Locks are always taken in one order, claims before loads and loads by node, so that
-- two changes never wait for each other.

-- Nobody changes a claim between the count and the triggers.
LOCK TABLE claims IN SHARE ROW EXCLUSIVE MODE;

CREATE TABLE node_loads (
    node    text COLLATE "C" PRIMARY KEY,
    streams integer NOT NULL
) WITH (fillfactor = 50);
INSERT INTO node_loads SELECT node, count(*) FROM claims WHERE state <> 'free' GROUP BY node;

CREATE FUNCTION claims_counted_new() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change record;
BEGIN
    FOR change IN SELECT node COLLATE "C" AS node, count(*)::integer AS streams FROM fresh WHERE state <> 'free' GROUP BY 1 ORDER BY 1
    LOOP
        INSERT INTO node_loads AS l VALUES (change.node, change.streams)
        ON CONFLICT (node) DO UPDATE SET streams = l.streams + excluded.streams;
    END LOOP;
    RETURN NULL;
END $$;

CREATE FUNCTION claims_counted_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change record;
BEGIN
    FOR change IN
        SELECT node COLLATE "C" AS node, sum(n)::integer AS streams FROM (
            SELECT node, 1 AS n FROM fresh WHERE state <> 'free' UNION ALL SELECT node, -1 FROM stale WHERE state <> 'free'
        ) AS each GROUP BY 1 HAVING sum(n) <> 0 ORDER BY 1
    LOOP
        INSERT INTO node_loads AS l VALUES (change.node, change.streams)
        ON CONFLICT (node) DO UPDATE SET streams = l.streams + excluded.streams;
    END LOOP;
    RETURN NULL;
END $$;

CREATE TRIGGER claims_counted_new AFTER INSERT ON claims REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION claims_counted_new();
CREATE TRIGGER claims_counted_changed AFTER UPDATE ON claims REFERENCING OLD TABLE AS stale NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION claims_counted_changed();

-- Holds the load of `wanted` still until the claim is made, and fails with KS001 if one stream more would lift it above its limit or above
-- ⌈percent × streams × weight ÷ (100 × weights)⌉, both over the nodes of `among`. `given_up` is the node that the claim leaves, if it is a move.
CREATE FUNCTION claims_room(wanted text, given_up text, among text[], percent bigint, weight bigint, weights bigint, streams_max bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    total bigint;
    own   bigint;
BEGIN
    IF wanted = given_up THEN
        RETURN true;
    END IF;
    INSERT INTO node_loads SELECT wanted, 0 WHERE NOT EXISTS (SELECT 1 FROM node_loads WHERE node = wanted)
    ON CONFLICT (node) DO NOTHING;
    PERFORM 1 FROM node_loads WHERE node IN (wanted, given_up) ORDER BY node FOR UPDATE;
    -- A statement of its own, so that it sees what was committed while the one before waited.
    SELECT coalesce(sum(streams), 0), coalesce(max(streams) FILTER (WHERE node = wanted), 0) INTO total, own
    FROM node_loads WHERE node = ANY (among);
    IF given_up = ANY (among) THEN
        total := total - 1;
    END IF;
    IF own >= streams_max OR own >= (percent * (total + 1) * weight + 100 * weights - 1) / (100 * weights) THEN
        RAISE EXCEPTION 'node % has its share of the streams', wanted USING ERRCODE = 'KS001';
    END IF;
    RETURN true;
END $$;
