#!/usr/bin/env bash
# npm's parsers of AWS cron expressions refuse cron(0 /8 * * ? *), an example in Secrets Manager's user guide.
#
# Ran:       aws-cron-parser 1.1.12, aws-cron-expression-validator 1.0.5 and aws-cron-validate 0.0.1 (npm).
# Guess:     they take what Secrets Manager's user guide gives as examples of rotation schedules, such as cron(0 /8 * * ? *): every
#            eight hours from midnight on.
# Behaviour: none takes /8 without a number or a * before it. aws-cron-parser parses it, and fails when it is asked for the next time
#            ("this shouldn't happen"). The two validators call it invalid. With 0/8, all three agree with Secrets Manager.
#            aws-cron-expression-validator also refuses 6L, the last Friday of the month.
# Matters:   a check before deployment rejects the schedule of a secret that rotates well, and a dashboard of next rotations fails on
#            it. Write 0/8 in place of /8: it means the same. Do not take a parser's no for that of Secrets Manager.
set -euo pipefail

temp=$(mktemp -d)
trap 'rm -rf --one-file-system "$temp"' EXIT
cd "$temp"
npm init --yes >/dev/null
npm install --no-audit --no-fund --silent --save-exact aws-cron-parser@1.1.12 aws-cron-expression-validator@1.0.5 aws-cron-validate@0.0.1
cat >ask.js <<'JS'
const { parse, next } = require('aws-cron-parser');
const { awsCronExpressionValidator } = require('aws-cron-expression-validator');
const validate = require('aws-cron-validate').default;

let failed = false;
function expect(expression, ...want) {
	const got = [
		() => next(parse(expression), new Date('2026-11-28T12:30:00Z')).toISOString().slice(0, 16),
		() => awsCronExpressionValidator(expression) && 'valid',
		() => (validate(expression).isValid() ? 'valid' : 'invalid'),
	].map((ask) => {
		try {
			return ask();
		} catch (e) {
			return e.message;
		}
	});
	console.log(`cron(${expression})`);
	got.forEach((answer, i) => console.log(`    ${['aws-cron-parser, next', 'aws-cron-expression-validator', 'aws-cron-validate'][i]}: ${answer}`));
	failed ||= got.join() !== want.join();
}
expect('0 /8 * * ? *', "AwsCronParser : this shouldn't happen, but iter > 10", "Invalid hour value '/8'.", 'invalid');
expect('0 0/8 * * ? *', '2026-11-28T16:00', 'valid', 'valid');
expect('0 8 ? * 6L *', '2026-12-25T08:00', "Invalid day-of-week value '6L'.", 'valid');
expect('0 8 ? * 2#1 *', '2026-12-07T08:00', 'valid', 'valid');
console.log(failed ? 'the behaviour has changed' : 'as described');
process.exit(failed ? 1 : 0);
JS
node ask.js
