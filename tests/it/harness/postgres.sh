# A temporary PostgreSQL cluster and its supervisor.
#
# Run as `sh -c "$(cat postgres.sh)" sh "$(cat postgres.sh)" [NAME=VALUE ...]`, where each NAME=VALUE
# becomes a line of postgresql.conf. It prints one line, `ready PORT PASSWORD`, and then runs the commands
# of its input, one on each line. It answers each with `done` or `failed`:
#
#     stop fast | stop immediate | kill | start | promote
#     standby                                              answered by `ready PORT`
#
# A standby is a copy of the running cluster that follows it, on another port, until it is promoted.
#
# When its input ends, because the owner has exited or was killed, it stops the cluster and removes its
# folder. A `Drop` in Rust would not run in a killed process, so this is a separate program.
#
# PostgreSQL refuses to run as root, so under root everything here runs as the user `postgres`. The text is
# an argument because that user may not be able to read the folder of this file.
set -u

if [ "$(id -u)" -eq 0 ]; then
    exec runuser -u postgres -- sh -c "$1" sh "$@"
fi
shift
cd / # The caller's folder may be closed to this user, and the server's programs complain of that.

say() { printf '%s\n' "$*"; }
complain() { printf 'throw-away PostgreSQL: %s\n' "$*" >&2; }

programs=
for folder in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV) \
    "$(pg_config --bindir 2>/dev/null)" "$(dirname "$(command -v initdb || echo none)")"; do
    if [ -x "$folder/initdb" ] && [ -x "$folder/pg_ctl" ]; then
        programs=$folder
        break
    fi
done
if [ -z "$programs" ]; then
    complain "no initdb found; install PostgreSQL 15 or later (scripts/install-tools does)"
    say failed
    exit 1
fi

# A cluster that flushes nothing is in memory if there is space. The database of a test has hundreds of
# files, and creating and deleting them on a disk took a quarter of the machine's time.
place=${TMPDIR:-/tmp}
case " $* " in *' fsync=off '*)
    room=$(df --output=avail --block-size=1G /dev/shm 2>/dev/null | tail -n 1)
    if [ "${room:-0}" -ge 4 ] && [ -w /dev/shm ]; then place=/dev/shm; fi
    ;;
esac

umask 077
folder=$(mktemp -d "$place/clientela-postgres.XXXXXX") || {
    say failed
    exit 1
}
finish() {
    for data in data standby; do
        [ -d "$folder/$data" ] || continue
        "$programs/pg_ctl" --pgdata="$folder/$data" --mode=immediate --silent stop >/dev/null 2>&1
    done
    rm -rf "$folder"
}
trap finish EXIT
# The owner may exit before it reads the answer (PIPE), or signal this process group.
trap 'exit 1' HUP INT PIPE TERM

random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

password=$(random 16)
printf '%s' "$password" >"$folder/password"
# The collation is not C, which exposes an ORDER BY without COLLATE "C".
if ! "$programs/initdb" --pgdata="$folder/data" --username=clientela --pwfile="$folder/password" \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 \
    --locale-provider=icu --icu-locale=en-US --no-sync >"$folder/initdb.log" 2>&1; then
    cat "$folder/initdb.log" >&2
    say failed
    exit 1
fi
{
    say "listen_addresses = '127.0.0.1'"
    say "unix_socket_directories = ''"
    say "max_connections = 300"
    say "logging_collector = off"
    for setting in "$@"; do
        say "${setting%%=*} = '${setting#*=}'"
    done
} >>"$folder/data/postgresql.conf"

# pg_ctl identifies the server that it started by its process id, so another server on the port is never
# mistaken for it.
start() {
    "$programs/pg_ctl" --pgdata="$folder/data" --log="$folder/server.log" --wait --silent \
        --options="-p $port" start </dev/null >/dev/null 2>&1
}

make_standby() {
    PGPASSWORD=$password "$programs/pg_basebackup" --pgdata="$folder/standby" --host=127.0.0.1 \
        --port="$port" --username=clientela --write-recovery-conf --checkpoint=fast --no-sync \
        >"$folder/standby.log" 2>&1 || return 1
    for _ in 1 2 3 4 5 6 7 8; do
        standby_port=$((20000 + 0x$(random 2) % 12000))
        "$programs/pg_ctl" --pgdata="$folder/standby" --log="$folder/standby.log" --wait --silent \
            --options="-p $standby_port" start </dev/null >/dev/null 2>&1 && return 0
    done
    return 1
}

# Outgoing connections do not use ports under 32768, so the port is still free when the server starts again.
started=no
for _ in 1 2 3 4 5 6 7 8; do
    port=$((20000 + 0x$(random 2) % 12000))
    if start; then
        started=yes
        break
    fi
    grep -q 'could not bind' "$folder/server.log" || break
done
if [ "$started" = no ]; then
    complain "the server does not start:"
    tail -n 20 "$folder/server.log" >&2
    say failed
    exit 1
fi
say "ready $port $password"

# Kills all processes of the server by their ids; the next start cleans up after them. The file with the id of
# the first process is removed too, as that id may stay a zombie if no parent reaps it.
kill_all() {
    first=$(head -n 1 "$folder/data/postmaster.pid") || return 1
    kill -9 "$first" $(pgrep -P "$first") || return 1
    rm -f "$folder/data/postmaster.pid"
}

# The memory of killed processes stays in use for a moment.
start_patiently() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
        start && return 0
        sleep 0.5
    done
    return 1
}

obey() { # COMMAND [ARGUMENT]
    case $1 in
    start) start_patiently ;;
    kill) kill_all ;;
    promote) "$programs/pg_ctl" --pgdata="$folder/standby" --wait --silent promote >/dev/null 2>&1 ;;
    stop) "$programs/pg_ctl" --pgdata="$folder/data" --mode="$2" --wait --silent stop >/dev/null 2>&1 ;;
    *) return 1 ;;
    esac
}

while read -r command argument; do
    if [ "$command" = standby ]; then
        if make_standby; then
            say "ready $standby_port"
        else
            complain 'no standby:'
            tail -n 20 "$folder/standby.log" >&2
            say failed
        fi
    elif obey "$command" "$argument"; then
        say 'done'
    else
        complain "'$command $argument' failed:"
        tail -n 20 "$folder/server.log" >&2
        say failed
    fi
done
