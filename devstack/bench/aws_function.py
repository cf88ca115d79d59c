"""Drives AWS's rotation function as a warm Lambda would: one process, the four steps of a rotation for each line of
standard input, which holds a secret's id and the token of its rotation. An empty line on standard output says done."""
import importlib.util
import json
import logging
import os
import sys

import pymysql

connect = pymysql.connect


def connect_here(**arguments):
    if arguments.get("ssl"):  # names a file of the Lambda's own image
        arguments["ssl"] = {"ca": os.environ["CA_FILE"]}
    return connect(**arguments)


pymysql.connect = connect_here

spec = importlib.util.spec_from_file_location("function", sys.argv[1])
function = importlib.util.module_from_spec(spec)
spec.loader.exec_module(function)
logging.getLogger().setLevel(logging.WARNING)

# It sends PASSWORD() to every server but MySQL 8, and MySQL 9 no longer has that.
of_version = function.get_password_option
function.get_password_option = lambda version: "%s" if version.startswith("9") else of_version(version)

for line in sys.stdin:
    event = json.loads(line)
    for step in ("createSecret", "setSecret", "testSecret", "finishSecret"):
        function.lambda_handler(dict(event, Step=step), None)
    print(flush=True)
