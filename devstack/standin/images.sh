#!/usr/bin/env bash
# Prepares the images of compose-check.sh: images.sh PROJECT DIRECTORY. It writes DIRECTORY/images.yml, which names them
# PROJECT/NAME, and publishes them on free ports. If the engine neither has an image nor can pull it, a stand-in is built, and DIRECTORY/replaced says which.
set -euo pipefail
cd "$(dirname "$0")/../.."

project=$1
work=$2
tree=${ROTATE_USER_MYSQL_ROOT:-/var/cache/rotate-user/mysql}
sudo=()
if [ "$(id -u)" != 0 ]; then sudo=(sudo); fi

has() { docker image inspect "$1" >/dev/null 2>&1 || docker pull --quiet "$1" >/dev/null 2>&1; }
replaced() { echo "$1 was replaced by $2" | tee -a "$work/replaced" >&2; }
# The classic builder, because it needs no plugin. It warns that it is old.
build() {
	if ! DOCKER_BUILDKIT=0 docker build --quiet --tag "$project/$1" "$work/$1" >/dev/null 2>"$work/log"; then
		cat "$work/log" >&2
		return 1
	fi
}
image_of() { awk -v service="  $1:" '$0 == service { found = 1 } found && $1 == "image:" { print $2; exit }' docker-compose.yml; }

# debian is Debian with MySQL, which the script installs with debootstrap.
debian() {
	if docker image inspect "$project/debian" >/dev/null 2>&1; then return; fi
	"${sudo[@]}" internal/mysqld/install-mysql.sh "$tree" >&2
	"${sudo[@]}" tar --directory "$tree" --exclude ./var/cache/apt --exclude ./var/lib/apt/lists --create . |
		docker import - "$project/debian" >/dev/null
}

mysql() {
	debian
	mkdir "$work/mysql"
	cp devstack/standin/mysql-entrypoint.sh "$work/mysql"
	cat >"$work/mysql/Dockerfile" <<-END
		FROM $project/debian
		COPY mysql-entrypoint.sh /usr/local/bin/
		ENTRYPOINT ["mysql-entrypoint.sh"]
	END
	build mysql
	replaced "$1" "MySQL $(docker run --rm --entrypoint mysqld "$project/mysql" --version | awk '{ print $3 }') of Debian sid, with an entry point of ours"
}

temporal() {
	debian
	mkdir "$work/temporal"
	go build -C devstack -o "$work/temporal/temporal" ./standin
	cat >"$work/temporal/Dockerfile" <<-END
		FROM $project/debian
		COPY temporal /usr/local/bin/
		ENTRYPOINT ["temporal"]
	END
	build temporal
	replaced "$1" "the Temporal server of devstack"
}

# distroless has what the base of our own images has: certificate authorities, an unprivileged user, and no shell.
distroless() {
	if docker image inspect "$project/distroless" >/dev/null 2>&1; then return; fi
	mkdir -p "$work/base/etc/ssl/certs" "$work/base/home/nonroot"
	echo nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin >"$work/base/etc/passwd"
	cp /etc/ssl/certs/ca-certificates.crt "$work/base/etc/ssl/certs/"
	tar --directory "$work/base" --owner 0 --group 0 --create . | docker import --change 'USER 65532' --change 'WORKDIR /home/nonroot' \
		--change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' - "$project/distroless" >/dev/null
}

# ours NAME DOCKERFILE MODULE PROGRAM... builds the last stage of a Dockerfile, with programs that were built on this machine.
ours() {
	local name=$1 dockerfile=$2 module=$3
	shift 3
	if has "$(awk '$1 == "FROM" { print $2; exit }' "$dockerfile")" && has "$(awk '$1 == "FROM" { base = $2 } END { print base }' "$dockerfile")"; then
		return # docker compose builds it
	fi
	distroless
	mkdir -p "$work/$name/out"
	CGO_ENABLED=0 go build -C "$module" -trimpath -ldflags='-s -w' -o "$work/$name/out/" "$@"
	awk '$1 == "FROM" { stage = "" } { stage = stage $0 "\n" } END { print stage }' "$dockerfile" |
		sed "s|^FROM .*|FROM $project/distroless|; s|^COPY --from=build /out/|COPY out/|" >"$work/$name/Dockerfile"
	build "$name"
	replaced "the stage that compiles in $dockerfile" "$(go env GOVERSION) of this machine, and its base image by a user and certificates"
}

export GOWORK=off
declare -A images
for service in mysql temporal; do
	images[$service]=$(image_of "$service")
	if ! has "${images[$service]}"; then
		"$service" "${images[$service]}"
		images[$service]=$project/$service
	fi
done
ours worker Dockerfile . ./worker ./starter
ours endpoint devstack/endpoint/Dockerfile devstack ./endpoint

cat >"$work/images.yml" <<END
services:
  mysql: {image: "${images[mysql]}", ports: !override ["127.0.0.1::3306"]}
  temporal: {image: "${images[temporal]}", ports: !override ["127.0.0.1::8233"]}
  setup: {image: "$project/endpoint"}
  secretsmanager: {image: "$project/endpoint", ports: !override ["127.0.0.1::4584"]}
  worker: {image: "$project/worker", ports: !override ["127.0.0.1::9464"]}
  starter: {image: "$project/worker"}
END
