-- The pool as a table, and what changes with it.
DROP TABLE IF EXISTS numbers, leads, audit, outbox;

CREATE TABLE numbers (
    e164 text PRIMARY KEY,
    company text NOT NULL,
    available_at timestamptz NOT NULL,
    assignment_id uuid,
    lead text
);
-- Serves the order of the pick.
CREATE INDEX numbers_by_available ON numbers (company, available_at);

CREATE TABLE leads (
    company text NOT NULL,
    lead text NOT NULL,
    assignment_id uuid NOT NULL,
    e164 text NOT NULL,
    release_at timestamptz NOT NULL,
    PRIMARY KEY (company, lead)
);

CREATE TABLE audit (
    id bigserial PRIMARY KEY,
    company text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    what text NOT NULL,
    assignment_id uuid NOT NULL
);

CREATE TABLE outbox (
    id bigserial PRIMARY KEY,
    company text NOT NULL,
    event jsonb NOT NULL
);
