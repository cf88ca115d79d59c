#!/usr/bin/env bash
# moto: a rotation that Secrets Manager would finish is not seen by readers, and calls that it would refuse change the secret.
#
# Ran:       moto 5.2.4 of Debian sid with boto3 1.26.27 of Debian 12, in one process, with mock_aws.
# Guess:     moto follows Secrets Manager's API reference in what a rotation relies on: GetSecretValue without a label returns
#            AWSCURRENT, a label is on one version only, a token that is used again with another value is refused, and a call that
#            fails changes nothing. (That the token is accepted while its version is AWSPENDING was known before the run.)
# Behaviour: once UpdateSecretVersionStage has moved AWSCURRENT, GetSecretValue without a label still returns the old version. The next
#            PutSecretValue leaves AWSCURRENT on two versions. A repeated put with another password replaces that of AWSPENDING. A label
#            that another version has can be added without RemoveFromVersionId. A move to a version that does not exist is refused, but
#            AWSCURRENT is gone. RotateSecret without a function makes a version without a value current. A secret that is
#            scheduled for deletion takes a new value.
# Matters:   a test of a rotation passes, and AWS refuses what it does: for example a step that is repeated draws a second password, after
#            the first was set in the database. Another test fails, and AWS would pass it: a client that reads the secret as usual gets
#            the old credential. With moto, name the VersionStage in every read, start each test with a new secret, and compare
#            all labels after each call. Keep a test that runs against AWS.
set -euo pipefail

temp=$(mktemp -d)
trap 'rm -rf --one-file-system "$temp"' EXIT
mirror=$(../internal/mysqld/debian-mirror.sh)
cd "$temp"
mkdir -p lists/partial cache/archives/partial
echo "deb $mirror sid main" >sid.list
sid=(-o Dir::Etc::sourcelist="$temp/sid.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$temp/lists" -o Dir::Cache="$temp/cache" -o APT::Sandbox::User=root)
{
	apt-get "${sid[@]}" update
	apt-get "${sid[@]}" download python3-moto
	apt-get -o APT::Sandbox::User=root download python3-boto3 python3-botocore python3-s3transfer python3-jmespath python3-dateutil python3-six \
		python3-urllib3 python3-requests python3-certifi python3-idna python3-charset-normalizer python3-chardet python3-responses \
		python3-werkzeug python3-markupsafe python3-jinja2 python3-xmltodict python3-cryptography python3-cffi-backend python3-yaml
} >download.log 2>&1 || { cat download.log >&2; exit 1; }
for package in *.deb; do dpkg --extract "$package" python; done
cat >rotate.py <<'PY'
import boto3
import botocore
import moto

failed = False
tokens = ['%08d-0000-0000-0000-000000000000' % n for n in range(10)]


def check(text, got, seen, expected):
    global failed
    print(f'{text}: {got}' + ('' if got == expected else f' (expected: {expected})'))
    failed = failed or got != seen


def call(operation, **arguments):
    try:
        operation(SecretId='app', **arguments)
        return 'done'
    except botocore.exceptions.ClientError:
        return 'refused'


def value(**arguments):
    try:
        return client.get_secret_value(SecretId='app', **arguments)['SecretString']
    except botocore.exceptions.ClientError as e:
        return e.response['Error']['Code']


def labels():
    stages = client.describe_secret(SecretId='app')['VersionIdsToStages']
    return ', '.join(f'v{int(v[:8])} {"+".join(sorted(s))}' for v, s in sorted(stages.items()) if s)


def put(n, password, **arguments):
    return call(client.put_secret_value, ClientRequestToken=tokens[n], SecretString=password, **arguments)


def move(label, to, source=None):
    if source is not None:
        return call(client.update_secret_version_stage, VersionStage=label, MoveToVersionId=tokens[to], RemoveFromVersionId=tokens[source])
    return call(client.update_secret_version_stage, VersionStage=label, MoveToVersionId=tokens[to])


def secret(test):
    """Runs a test with a secret whose v1 is current and whose v2 a rotation has just staged."""
    global client
    with moto.mock_aws():
        client = boto3.client('secretsmanager', region_name='eu-west-1', aws_access_key_id='test', aws_secret_access_key='test')
        client.create_secret(Name='app', ClientRequestToken=tokens[1], SecretString='first')
        put(2, 'second', VersionStages=['AWSPENDING'])
        print(f'--- {labels()}')
        test()


@secret
def finish():
    check('move AWSCURRENT from v1 to v2', move('AWSCURRENT', 2, 1), 'done', 'done')
    check('labels', labels(), 'v1 AWSPREVIOUS, v2 AWSCURRENT+AWSPENDING', 'v1 AWSPREVIOUS, v2 AWSCURRENT+AWSPENDING')
    check('read AWSCURRENT', value(VersionStage='AWSCURRENT'), 'second', 'second')
    check('read without a label', value(), 'first', 'second')
    check('put v3 without labels', put(3, 'third'), 'done', 'done')
    check('labels', labels(), 'v1 AWSPREVIOUS, v2 AWSCURRENT+AWSPENDING, v3 AWSCURRENT', 'v2 AWSPREVIOUS, v3 AWSCURRENT')
    check('read AWSCURRENT', value(VersionStage='AWSCURRENT'), 'second', 'third')


@secret
def repeat():
    check('put v2 again with another password', put(2, 'other', VersionStages=['AWSPENDING']), 'done', 'refused')
    check('read v2', value(VersionId=tokens[2]), 'other', 'second')


@secret
def take():
    check('move AWSPENDING to v1, RemoveFromVersionId missing', move('AWSPENDING', 1), 'done', 'refused')
    check('labels', labels(), 'v1 AWSCURRENT+AWSPENDING, v2 AWSPENDING', 'v1 AWSCURRENT, v2 AWSPENDING')


@secret
def unknown():
    check('move AWSCURRENT from v1 to v9, which does not exist', move('AWSCURRENT', 9, 1), 'refused', 'refused')
    check('labels', labels(), 'v2 AWSPENDING', 'v1 AWSCURRENT, v2 AWSPENDING')


@secret
def rotate():
    check('RotateSecret without a function', call(client.rotate_secret, ClientRequestToken=tokens[3]), 'done', 'refused')
    check('labels', labels(), 'v1 AWSPREVIOUS, v3 AWSCURRENT', 'v1 AWSCURRENT, v2 AWSPENDING')
    check('read without a label', value(), 'ResourceNotFoundException', 'first')


@secret
def deleted():
    check('schedule the deletion', call(client.delete_secret, RecoveryWindowInDays=7), 'done', 'done')
    check('put v3', put(3, 'third'), 'done', 'refused')
    check('restore', call(client.restore_secret), 'done', 'done')
    check('read without a label', value(), 'third', 'first')


print('the behaviour has changed' if failed else 'as described')
raise SystemExit(failed)
PY
export PYTHONPATH=$temp/python/usr/lib/python3/dist-packages
version=$(/usr/bin/python3 -c 'import moto; print(moto.__version__)')
echo "moto $version"
if [ "$version" != 5.2.4 ]; then echo "this was seen on 5.2.4, and Debian sid now has another version"; fi
/usr/bin/python3 -W ignore rotate.py
