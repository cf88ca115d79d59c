#!/usr/bin/env bash
# aws-cron-parser: the 31st of a month that has 30 days is the 1st of the next month.
#
# Ran:       aws-cron-parser 1.1.12 and, for comparison, croner 9.1.0 (npm).
# Guess:     cron(0 10 31 * ? *) next occurs on the next 31st that there is, and cron(0 10 29 2 ? *) in the next leap year.
# Behaviour: asked on 28 November, next() says 1 December, then 31 December. The 29th of February 2027 is 1 March 2027. prev() does not
#            make such dates, so the two disagree. croner skips these months, with the same fields. The last day of the month (L) and
#            the weekday nearest to the 31st (31W) are right.
# Matters:   a dashboard or an alert that computes when a secret should have been rotated reports a rotation as missed that was never due.
#            Schedule on days 1 to 28, or on L, and take the next date from what rotates the secret, not from its expression.
set -euo pipefail

temp=$(mktemp -d)
trap 'rm -rf --one-file-system "$temp"' EXIT
cd "$temp"
npm init --yes >/dev/null
npm install --no-audit --no-fund --silent --save-exact aws-cron-parser@1.1.12 croner@9.1.0
cat >ask.js <<'JS'
const { parse, next, prev } = require('aws-cron-parser');
const { Cron } = require('croner');
let failed = false;
function expect(text, got, want) {
	const days = got.map((date) => (date ? date.toISOString().slice(0, 10) : 'none')).join(' ');
	console.log(`${text}: ${days}`);
	failed ||= days !== want;
}
function times(start, step) {
	const first = step(start);
	return [first, step(first)];
}
const from = new Date('2026-11-28T12:00:00Z');
const aws = (expression) => times(from, (date) => next(parse(expression), date));
const croner = (expression) => times(from, (date) => new Cron(expression, { timezone: 'UTC' }).nextRun(date));
expect('aws-cron-parser, 0 10 31 * ? *', aws('0 10 31 * ? *'), '2026-12-01 2026-12-31');
expect('croner,          0 10 31 * *', croner('0 10 31 * *'), '2026-12-31 2027-01-31');
expect('aws-cron-parser, 0 10 29 2 ? *', aws('0 10 29 2 ? *'), '2027-03-01 2028-02-29');
expect('croner,          0 10 29 2 *', croner('0 10 29 2 *'), '2028-02-29 2032-02-29');
expect('aws-cron-parser, 0 10 31 * ? *, the one before 5 March', [prev(parse('0 10 31 * ? *'), new Date('2027-03-05T12:00:00Z'))], '2027-01-31');
expect('aws-cron-parser, 0 10 L * ? *', aws('0 10 L * ? *'), '2026-11-30 2026-12-31');
expect('aws-cron-parser, 0 10 31W * ? *', aws('0 10 31W * ? *'), '2026-11-30 2026-12-31');
console.log(failed ? 'the behaviour has changed' : 'as described');
process.exit(failed ? 1 : 0);
JS
node ask.js
