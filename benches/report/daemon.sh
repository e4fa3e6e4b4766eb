# Sourced by the reports: starts the daemon of FOLDER on a data directory of its own, and stops it when the script ends.
#
#   start_daemon FOLDER [ARGUMENT...]     sets WAVEKV_ADDRESS

start_daemon() {
    local folder=$1
    shift
    work=$(mktemp -d)
    "$folder/wavekvd" --data-dir "$work/data" --set grpc.listen= --set http.listen= --set log.level=warn "$@" &
    daemon=$!
    trap 'kill -TERM "$daemon"; wait "$daemon"; rm -rf "$work"' EXIT
    for _ in $(seq 600); do
        [[ ! -S "$work/data/wavekvd.sock" ]] || break
        kill -0 "$daemon"
        sleep 0.1
    done
    export WAVEKV_ADDRESS="unix:$work/data/wavekvd.sock"
}
