"""What a service needs before it can be tested: settings, a bucket, tokens. Called by host.sh."""

import http.client
import json
import os
import sys
import urllib.parse

verb, port, *rest = sys.argv[1:]
jar = {}


def call(method, path, headers, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=120)
    cookies = "; ".join(f"{name}={value}" for name, value in jar.items())
    connection.request(method, path, body, {**headers, "Cookie": cookies})
    answer = connection.getresponse()
    data = answer.read()
    for name, value in answer.getheaders():
        if name.lower() == "set-cookie":
            name, _, value = value.split(";")[0].partition("=")
            jar[name] = value
    return answer.status, data


def must(expected, answer):
    assert answer[0] == expected, answer
    return answer[1]


as_json = {"Content-Type": "application/json"}
if verb == "settings":
    login = {"email": os.environ["SM_USERS_BOOTSTRAP_EMAIL"], "password": os.environ["SM_USERS_BOOTSTRAP_PASSWORD"]}
    token = json.loads(must(200, call("POST", "/api/users/auth/token", as_json, json.dumps(login))))["access_token"]
    settings = dict(pair.split("=", 1) for pair in rest)
    settings = {name: int(value) if value.isdigit() else value for name, value in settings.items()}
    headers = {**as_json, "Authorization": f"Bearer {token}"}
    must(200, call("PUT", "/api/settings/modules/file_storage", headers, json.dumps(settings)))
elif verb == "bucket":
    must(200, call("PUT", f"/{rest[0]}", {}))
elif verb == "token":
    user = os.environ["SM_USERS_BOOTSTRAP_USER_EMAIL"], os.environ["SM_USERS_BOOTSTRAP_USER_PASSWORD"]
    form = urllib.parse.urlencode(dict(zip(("username", "password"), user)))
    must(204, call("POST", "/api/users/auth/login", {"Content-Type": "application/x-www-form-urlencoded"}, form))
    page = must(200, call("GET", "/api-tokens/", {"X-Inertia": "true", "X-Inertia-Version": "1.0"}))
    headers = {**as_json, "X-CSRF-Token": json.loads(page)["props"]["csrf_token"]}
    wanted = {"name": "tests", "scopes": rest, "expires_in_days": 30}
    made = must(201, call("POST", "/api/api_tokens/tokens/", headers, json.dumps(wanted)))
    print(json.loads(made)["token"])
else:
    sys.exit(f"prepare.py: unknown verb {verb}")
