-- The small shop of the demo. All people in it are made up: the addresses are of example.org, the telephone numbers of
-- the ranges that are kept for stories, and the card and bank numbers are the well-known test numbers.
CREATE TABLE customer (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, phone TEXT, iban TEXT, born TEXT
);
CREATE TABLE product (id INTEGER PRIMARY KEY, title TEXT NOT NULL, price_cents INTEGER NOT NULL, stock INTEGER NOT NULL);
CREATE TABLE sale (
  id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customer (id), product INTEGER NOT NULL REFERENCES product (id),
  quantity INTEGER NOT NULL, day TEXT NOT NULL
);
INSERT INTO customer VALUES
  (1, 'Maren Holt',     'maren.holt@example.org',  '+44 7700 900118', 'DE89370400440532013000',      '1984-03-17'),
  (2, 'Idris Amani',    'idris@example.org',       '+44 7700 900221', 'GB82WEST12345698765432',      '1991-11-02'),
  (3, 'Lucía Ferrer',   'lucia.ferrer@example.org','+1 202 555 0143', 'FR1420041010050500013M02606', '1977-06-29'),
  (4, 'Tomasz Zielony', 'tz@example.org',          NULL,              NULL,                          '2001-01-08'),
  (5, 'Aiko Brandt',    'aiko.brandt@example.org', '+1 202 555 0178', 'AT611904300234573201',        '1969-09-12');
INSERT INTO product VALUES
  (1, 'Copper kettle', 6400, 12), (2, 'Oak chopping board', 3250, 40), (3, 'Linen apron', 2800, 7), (4, 'Whetstone', 4100, 0);
INSERT INTO sale VALUES
  (1, 1, 2, 1, '2026-10-02'), (2, 1, 4, 1, '2026-10-02'), (3, 2, 1, 2, '2026-10-11'),
  (4, 3, 3, 1, '2026-10-19'), (5, 5, 2, 3, '2026-11-01'), (6, 2, 3, 1, '2026-11-05');
