-- $1 company, $2 lead. The lead's hold, or a new one with everything that belongs to it. Two requests of one
-- lead at once: the second breaks the key of leads, takes nothing with it, and finds the hold when it is repeated.
WITH new AS MATERIALIZED (
    SELECT gen_random_uuid() AS id
), held AS (
    SELECT assignment_id, e164, release_at FROM leads WHERE company = $1 AND lead = $2
), next AS (
    SELECT e164 FROM numbers
    WHERE company = $1 AND available_at <= now() AND NOT EXISTS (SELECT FROM held)
    ORDER BY available_at
    LIMIT 1
    /* lock */
), taken AS (
    UPDATE numbers
    SET available_at = now() + interval '18 hours', assignment_id = new.id, lead = $2
    FROM next, new
    WHERE numbers.e164 = next.e164
    RETURNING numbers.assignment_id, numbers.e164, numbers.available_at AS release_at
), of_lead AS (
    INSERT INTO leads SELECT $1, $2, assignment_id, e164, release_at FROM taken
), audited AS (
    INSERT INTO audit (company, what, assignment_id) SELECT $1, 'assigned', assignment_id FROM taken
), told AS (
    INSERT INTO outbox (company, event)
    SELECT $1, jsonb_build_object('type', 'number.assigned', 'lead', $2, 'number', e164, 'assignment_id', assignment_id)
    FROM taken
)
SELECT assignment_id, e164, release_at, false AS is_new FROM held
UNION ALL
SELECT assignment_id, e164, release_at, true FROM taken
