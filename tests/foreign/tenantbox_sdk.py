"""The official Tenantbox client, its whole surface, on the test server; the test does the same with the crate's client.

`ask(words)` has the test do something with the crate's client and gives its answer.
"""

import io
import json
import os
import random
import sys
import tempfile

import requests
import tenantbox
from tenantbox import TenantboxClient
from tenantbox.exceptions import (
    QuotaExceededError,
    TenantboxAuthError,
    TenantboxConfigError,
    TenantboxNotFoundError,
    TenantboxUploadError,
)
from tenantbox.utils import GB, KB, MB, TB, human_readable_bytes


def ask(verb, **words):
    print("@ask " + verb + " " + json.dumps(words), flush=True)
    return json.loads(sys.stdin.readline())


def same(ours, theirs, what):
    assert ours == theirs, f"{what}: the crate says {ours!r}, the official client {theirs!r}"


def raises(kind, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except kind as error:
        return error
    raise AssertionError(f"{call} does not raise {kind}")


URL, KEY = os.environ["TENANTBOX_URL"], os.environ["TENANTBOX_KEY"]
client = TenantboxClient(api_key=KEY, base_url=URL + "/")

# Configuration is checked before any request.
raises(TenantboxConfigError, TenantboxClient, api_key="")
raises(TenantboxConfigError, TenantboxClient, api_key=KEY, base_url="")

# A file by path, a file object, and one from a web page; each client reads what the other wrote.
content = random.randbytes(300_000)
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "report ü.pdf")
    with open(path, "wb") as file:
        file.write(content)
    done = client.upload_file("user_1", path, tenant_email="ada@example.com")
    same(ask("upload", tenant="user_2", path=path)["is_new_tenant"], done.is_new_tenant, "a new tenant")
assert done.uploaded and done.is_new_tenant and done.expires_in == 3600
same(ask("download", file_path=done.file_path)["bytes"], content.hex(), "what the official client uploaded")

buffer = io.BytesIO(b"hello")
buffer.name = "hello.txt"
note = client.upload_file("user_1", buffer)
theirs = ask("upload_bytes", tenant="user_1", name="hello.txt", bytes=b"hello".hex())
for path in (note.file_path, theirs["file_path"]):
    link = client.get_download_url(path, expires_in=300)
    got = requests.get(link.download_url)
    same(got.content, b"hello", "what is downloaded")
    same(ask("download_url", file_path=path), [link.filename, link.content_type, link.size_bytes, link.expires_in], "a link")
    assert got.headers["content-type"] == "text/plain"

url = client.get_upload_url("user_1", "avatar.png")
assert requests.put(url.presigned_url, b"pixels", headers={"Content-Type": "image/png"}).status_code == 200
ours = ask("upload_url", tenant="user_1", name="avatar.png")
same([ours["content_type"], ours["expires_in"], ours["is_new_tenant"]], ["image/png", url.expires_in, url.is_new_tenant], "a URL")
assert requests.put(ours["presigned_url"], b"pixels", headers={"Content-Type": ours["content_type"]}).status_code == 200
# What was signed must be sent.
wrong = client.get_upload_url("user_1", "a.png")
assert requests.put(wrong.presigned_url, b"x", headers={"Content-Type": "text/plain"}).status_code == 403
raises(TenantboxUploadError, client._http.put_to_presigned_url, wrong.presigned_url, b"x", "text/plain")


def usages_agree(tenant):
    usage = client.get_usage(tenant)
    ours = ask("usage", tenant=tenant)
    for name in ("email", "storage_used_bytes", "storage_limit_bytes", "total_files"):
        same(ours[name], getattr(usage, name), name)
    for name in ("storage_used_mb", "storage_limit_mb", "usage_percentage", "is_unlimited"):
        same(ours["computed"][name], getattr(usage, name), name)
    return usage


# Usage and limits, with what is computed from them.
assert usages_agree("user_1").email == "ada@example.com"
for limit in (MB(5), 1, 300_011, 12_345_678, KB(1.5), GB(2), TB(1)) + tuple(random.randrange(1, 1 << 40) for _ in range(20)):
    same(ask("set_limit", tenant="user_1", bytes=limit), client.set_limit("user_1", limit).storage_limit_bytes, "a limit")
    usages_agree("user_1")
same(ask("remove_limit", tenant="user_1"), client.remove_limit("user_1").storage_limit_bytes, "no limit")
assert usages_agree("user_1").is_unlimited

# Sizes, in words and in bytes.
sizes = [0, 1, 1023, 1024, 1048575] + [random.randrange(1 << bits) for bits in range(1, 61) for _ in range(20)]
same(ask("human_readable", sizes=sizes), [human_readable_bytes(size) for size in sizes], "sizes in words")
factors = [0, 1, 1.5, 0.1, 2.3] + [random.random() * 1000 for _ in range(100)]
# As text: not every JSON library reads numbers to the last bit.
same(ask("sizes", factors=[repr(float(n)) for n in factors]), [[KB(n), MB(n), GB(n), TB(n)] for n in factors], "sizes in bytes")

# Errors.
client.set_limit("user_1", 10)
raises(QuotaExceededError, client.get_upload_url, "user_1", "more.txt")
same(ask("upload_url_fails", tenant="user_1"), "QuotaExceeded", "a used-up quota")
raises(TenantboxNotFoundError, client.get_usage, "nobody")
missing = client.get_upload_url("user_3", "never.txt").file_path
assert "storage" in raises(TenantboxNotFoundError, client.get_download_url, missing).message
raises(TenantboxAuthError, TenantboxClient(api_key="wrong", base_url=URL).get_usage, "user_1")

# Deletion, and what it does to the usage.
assert client.delete_file(note.file_path).success
same(ask("delete", file_path=theirs["file_path"]), "File deleted successfully", "a deletion")
raises(TenantboxNotFoundError, client.delete_file, theirs["file_path"])
assert usages_agree("user_1").total_files == 3
print(f"tenantbox {getattr(tenantbox, '__version__', '')}: agrees", flush=True)
