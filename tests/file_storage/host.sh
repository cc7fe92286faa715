#!/usr/bin/env bash
# Runs the real file_storage service (simple-module-file-storage 0.0.41, SQLite) on loopback, for the tests beside it:
# one with its files on the local disk, and one with an S3 (moto) as its back end.
#   host.sh up DIR [PORT]   installs them into DIR from PyPI where they are not yet (a minute or two; Python >= 3.12), starts
#                           them on PORT, PORT+1 and PORT+2 (free ones by default), and writes DIR/env for the tests to read
#   host.sh down DIR        stops what `up` started
set -euo pipefail
verb=${1:?up or down} dir=${2:?folder} port=${3:-$(python3 - <<'FREE'
import random, socket
def free(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) != 0
print(next(p for p in iter(lambda: random.randrange(20000, 32000), None) if all(free(p + n) for n in range(3))))
FREE
)}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$dir"; dir=$(cd "$dir" && pwd)
disk=$port s3=$((port + 1)) bucket=$((port + 2))
export PATH="$dir/venv/bin:$PATH" SM_PROJECT_ROOT="$dir/host" SM_ENVIRONMENT=development SM_LOG_FORMAT=text
export SM_SECRET_KEY=local-only-session-secret-for-a-test-host-0123456789
export SM_USERS_BOOTSTRAP_EMAIL=admin@example.com SM_USERS_BOOTSTRAP_PASSWORD='Adm1n-Passw0rd!'
export SM_USERS_BOOTSTRAP_USER_EMAIL=user@example.com SM_USERS_BOOTSTRAP_USER_PASSWORD='Us3r-Passw0rd!'
export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1

python_312() {  # the first interpreter that is new enough: PYTHON, the path's, then any that pyenv keeps
  for p in ${PYTHON:-} python3.13 python3.12 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[2-9]*/bin/python python3; do
    "$p" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && { echo "$p"; return; }
  done
  echo "host.sh: no Python >= 3.12 found; name one in PYTHON" >&2; exit 1
}

setup() {
  [[ -e $dir/ready ]] && cmp -s "$here/requirements.txt" "$dir/ready" && return
  "$(python_312)" -m venv --clear "$dir/venv"
  pip install -q --disable-pip-version-check -r "$here/requirements.txt"
  rm -rf "$dir/host" "$dir"/*.db
  export SM_DATABASE_URL="sqlite+aiosqlite:///$dir/empty.db"
  smpy create-host fs-host --dest "$dir/host" --with auth,users,permissions,settings,file_storage,api_tokens >"$dir/setup.log" 2>&1
  (cd "$dir/host" && alembic revision --autogenerate -m "initial schema" && alembic upgrade heads) >>"$dir/setup.log" 2>&1
  cp "$here/requirements.txt" "$dir/ready"
}

answers() {  # PORT LOG
  for _ in $(seq 240); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.5; done
  echo "host.sh: nothing answers on port $1, see $2" >&2; exit 1
}

start() {  # NAME PORT COMMAND…
  local name=$1 at=$2; shift 2
  (cd "$dir/host" && exec nohup "$@" >"$dir/$name.log" 2>&1 9>&-) &
  echo $! >"$dir/$name.pid"
  answers "$at" "$dir/$name.log"
}

stop() {  # NAME
  [[ -e $dir/$1.pid ]] || return 0
  local pid; pid=$(cat "$dir/$1.pid")
  kill "$pid" 2>/dev/null || true
  for _ in $(seq 60); do kill -0 "$pid" 2>/dev/null || break; sleep 0.25; done
  rm -f "$dir/$1.pid"
}

service() {  # NAME PORT
  SM_DATABASE_URL="sqlite+aiosqlite:///$dir/$1.db" start "$1" "$2" python -m uvicorn main:app --host 127.0.0.1 --port "$2"
}

set_up() { python "$here/prepare.py" "$@"; }

case $verb in
  up)
    setup
    for name in disk s3 moto; do stop "$name"; done
    for name in disk s3; do cp "$dir/empty.db" "$dir/$name.db"; done
    start moto "$bucket" moto_server -H 127.0.0.1 -p "$bucket"
    service disk "$disk"; service s3 "$s3"
    set_up settings "$disk" max_file_size_bytes=2147483648 multipart_part_size_bytes=5242880
    set_up bucket "$bucket" files
    set_up settings "$s3" max_file_size_bytes=2147483648 multipart_part_size_bytes=5242880 backend=s3 s3_bucket=files \
      s3_region=us-east-1 s3_endpoint_url="http://127.0.0.1:$bucket" s3_access_key_id=testing s3_secret_access_key=testing
    stop s3; service s3 "$s3"  # another back end takes effect at a start
    all="file_storage.upload file_storage.download file_storage.delete"
    {
      echo "FILE_STORAGE_TEST_DISK=http://127.0.0.1:$disk"
      echo "FILE_STORAGE_TEST_DISK_TOKEN=$(set_up token "$disk" $all)"
      echo "FILE_STORAGE_TEST_READ_TOKEN=$(set_up token "$disk" file_storage.download)"
      echo "FILE_STORAGE_TEST_S3=http://127.0.0.1:$s3"
      echo "FILE_STORAGE_TEST_S3_TOKEN=$(set_up token "$s3" $all)"
    } >"$dir/env" ;;
  down) for name in disk s3 moto; do stop "$name"; done; rm -f "$dir/env" ;;
  *) echo "host.sh: unknown verb $verb" >&2; exit 2 ;;
esac
