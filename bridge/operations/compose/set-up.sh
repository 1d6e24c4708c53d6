#!/bin/sh
# Makes secrets and certificates for the Compose file beside it. Run it as root, once: what is there already stays.
#   ./set-up.sh HOSTNAME     HOSTNAME: under which gateways and the platform reach this machine
set -eu
[ $# -eq 1 ] || { echo "usage: $0 HOSTNAME" >&2; exit 2; }
host=$1
cd "$(dirname "$0")"
umask 077
# Users inside the images: of Mosquitto, and of the bridge.
mosquitto=1883
bridge=10001

word() { openssl rand -hex 24; }

secret() { # FILE: a new password in it
    [ -e "$1" ] || word > "$1"
}

# A line of Mosquitto's password file: PBKDF2 with SHA-512, as mosquitto_passwd makes it.
password_line() { # USER PASSWORD
    salt=$(openssl rand -hex 12)
    hash=$(openssl kdf -keylen 64 -kdfopt digest:SHA512 -kdfopt "pass:$2" -kdfopt "hexsalt:$salt" -kdfopt iter:101 \
        -binary PBKDF2 | openssl base64 -A)
    printf '%s:$7$101$%s$%s\n' "$1" "$(unhex "$salt" | openssl base64 -A)" "$hash"
}

unhex() { # HEX: as bytes
    rest=$1
    while [ -n "$rest" ]; do
        two=${rest%"${rest#??}"}
        printf "\\$(printf '%03o' "0x$two")"
        rest=${rest#??}
    done
}

certificate() { # DIRECTORY NAME HOST: for the service under its name inside, and under the machine's
    [ -e "$1/$2.pem" ] && return
    openssl req -x509 -CA certificates/ca.pem -CAkey certificates/ca.key -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
        -nodes -days 730 -subj "/CN=$3" -addext "subjectAltName=DNS:$3,DNS:$host" \
        -addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature \
        -addext extendedKeyUsage=serverAuth -keyout "$1/$2.key" -out "$1/$2.pem" 2>/dev/null
    chmod 644 "$1/$2.pem"
}

mkdir -p secrets/bridge secrets/mosquitto certificates/public certificates/broker certificates/proxy

for user in chirpstack gateway platform technician monitoring; do
    secret "secrets/mqtt-$user.password"
done
secret secrets/bridge/mqtt.password
secret secrets/postgres.password
# To be filled with keys that ChirpStack makes; README.md says how.
[ -e secrets/bridge/chirpstack.key ] || : > secrets/bridge/chirpstack.key
[ -e secrets/bridge/chirpstack-write.key ] || : > secrets/bridge/chirpstack-write.key

if [ ! -e secrets/mosquitto/passwords ]; then
    {
        password_line zaehlwerk-bridge "$(cat secrets/bridge/mqtt.password)"
        for user in chirpstack gateway platform technician monitoring; do
            password_line "$user" "$(cat "secrets/mqtt-$user.password")"
        done
    } > secrets/mosquitto/passwords
fi
[ -e secrets/mosquitto/acl ] || cp mosquitto/acl secrets/mosquitto/acl
if [ ! -e secrets/chirpstack.env ]; then
    {
        echo "CHIRPSTACK_DSN=postgres://chirpstack:$(cat secrets/postgres.password)@postgres/chirpstack?sslmode=disable"
        echo "CHIRPSTACK_API_SECRET=$(word)"
        echo "CHIRPSTACK_MQTT_PASSWORD=$(cat secrets/mqtt-chirpstack.password)"
    } > secrets/chirpstack.env
fi
[ -e secrets/gateway.env ] ||
    echo "INTEGRATION__MQTT__AUTH__GENERIC__PASSWORD=$(cat secrets/mqtt-gateway.password)" > secrets/gateway.env

if [ ! -e certificates/ca.pem ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=Zählwerk $host" -utf8 \
        -addext keyUsage=critical,keyCertSign,cRLSign -keyout certificates/ca.key -out certificates/ca.pem 2>/dev/null
fi
certificate certificates/broker broker mosquitto
certificate certificates/proxy proxy proxy
for directory in public broker proxy; do
    cp certificates/ca.pem "certificates/$directory/ca.pem"
    chmod 644 "certificates/$directory/ca.pem"
done
# Who must know whom to believe; containers have users of their own.
chmod 755 certificates/public
if [ "$(id -u)" -eq 0 ]; then
    chown -R "$mosquitto:$mosquitto" secrets/mosquitto certificates/broker
    chown -R "$bridge:$bridge" secrets/bridge
else
    echo "$0: not root: give secrets/mosquitto and certificates/broker to user $mosquitto, secrets/bridge to $bridge" >&2
fi
