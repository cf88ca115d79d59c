#!/usr/bin/env bash
# MariaDB Connector/J: one connection with a stale password is 120 refused logins, and its pool never says that it was refused.
#
# Ran:       MariaDB Connector/J 2.7.6 (libmariadb-java) and MariaDB 10.11.19, both of Debian 12, on 127.0.0.1. Later versions were not tried.
# Guess:     a refused login is reported with 1045, after one login for each host of the URL.
# Behaviour: it is for jdbc:mariadb://host. With sequential: or aurora: in the URL, DriverManager.getConnection() treats a refused login like
#            a server that is down, and tries again until retriesAllDown (120) is used up: 120 refused logins in half a minute
#            for one connection to one host. The error has the code -1, and only its text says "Access denied". The pool (MariaDbPoolDataSource)
#            logs in once, and getConnection() then waits for connectTimeout (30 seconds). Its error does not mention the refusal.
# Matters:   after a rotation of a password, one thread that connects reaches every limit on failed logins (max_password_errors,
#            FAILED_LOGIN_ATTEMPTS), and blocks the account for processes that have the new password. A program that reads its
#            secret again on 1045 never sees that code. Set retriesAllDown=1, take another pool, and look for "Access denied" in the text.
#            Alternate between two accounts: a stale password is then that of the other account.
set -euo pipefail

temp=$(mktemp -d)
pid=
finish() {
	if [ -n "$pid" ]; then kill "$pid" 2>/dev/null && wait "$pid" || true; fi
	rm -rf --one-file-system "$temp"
}
trap finish EXIT
chmod 755 "$temp"

command -v javac >/dev/null || { echo "this needs a JDK: apt-get install default-jdk-headless" >&2; exit 1; }
(
	cd "$temp"
	apt-get download libmariadb-java=2.7.6-1 >download.log 2>&1 || { cat download.log >&2; exit 1; }
	for package in *.deb; do dpkg --extract "$package" java; done
)
jars=$temp/java/usr/share/java
cat >"$temp/Ask.java" <<'JAVA'
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import org.mariadb.jdbc.MariaDbPoolDataSource;

public class Ask {
	static int failed;
	static String sql(String text) throws Exception {
		Process client = new ProcessBuilder("mariadb", "--no-defaults", "--user=root", "--socket=" + System.getenv("SOCKET"), "--batch", "--skip-column-names", "--execute", text)
			.redirectErrorStream(true).start();
		String out = new String(client.getInputStream().readAllBytes()).trim();
		if (client.waitFor() != 0) throw new Exception(out);
		return out;
	}
	static int refused() throws Exception {
		return Integer.parseInt(sql("SHOW GLOBAL STATUS LIKE 'Access_denied_errors'").split("\t")[1]);
	}
	interface Source {
		Connection get() throws SQLException;
	}
	static void ask(String text, Source source, int code, boolean saysRefused, int least, int most, int leastSeconds) throws Exception {
		int before = refused(), got = 0;
		long start = System.nanoTime();
		String chain = "";
		try (Connection connection = source.get()) {
		} catch (SQLException e) {
			got = e.getErrorCode();
			for (Throwable t = e; t != null; t = t.getCause()) chain += t;
		}
		int logins = refused() - before;
		long seconds = (System.nanoTime() - start) / 1_000_000_000L;
		boolean says = chain.contains("Access denied");
		System.out.printf("%s: code %d, %s, %d refused logins, %d seconds%n", text, got, says ? "says access denied" : "does not say access denied", logins, seconds);
		if (got != code || says != saysRefused || logins < least || logins > most || seconds < leastSeconds) failed++;
	}
	public static void main(String[] args) throws Exception {
		String rest = "://127.0.0.1:" + System.getenv("PORT") + "/information_schema?user=app&password=Old-1";
		Class.forName("org.mariadb.jdbc.Driver");
		sql("CREATE USER app@'127.0.0.1' IDENTIFIED BY 'Old-1'");
		MariaDbPoolDataSource pool = new MariaDbPoolDataSource("jdbc:mariadb" + rest + "&maxPoolSize=3&minPoolSize=1");
		Connection held = pool.getConnection();
		sql("ALTER USER app@'127.0.0.1' IDENTIFIED BY 'New-2'");
		System.out.println("the password was changed");
		ask("    jdbc:mariadb:", () -> DriverManager.getConnection("jdbc:mariadb" + rest), 1045, true, 1, 1, 0);
		ask("    jdbc:mariadb:sequential:", () -> DriverManager.getConnection("jdbc:mariadb:sequential" + rest), -1, true, 100, 130, 20);
		ask("    jdbc:mariadb:aurora:", () -> DriverManager.getConnection("jdbc:mariadb:aurora" + rest), -1, true, 100, 130, 20);
		ask("    jdbc:mariadb:sequential: with retriesAllDown=1", () -> DriverManager.getConnection("jdbc:mariadb:sequential" + rest + "&retriesAllDown=1"), -1, true, 1, 2, 0);
		ask("    the pool, one connection in use", pool::getConnection, -1, false, 1, 2, 29);
		System.out.println(failed == 0 ? "as described" : "the behaviour has changed");
		System.exit(failed == 0 ? 0 : 1);
	}
}
JAVA

as=()
if [ "$(id -u)" = 0 ]; then as=(--user=nobody); chown nobody "$temp"; fi
mariadb-install-db --no-defaults "${as[@]}" --datadir="$temp/data" --auth-root-authentication-method=normal --skip-test-db >"$temp/install.log"
port=$(python3 -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])")
start() {
	"$(command -v mariadbd || echo /usr/sbin/mariadbd)" --no-defaults "${as[@]}" --datadir="$temp/data" --bind-address=127.0.0.1 --port="$port" --socket="$temp/s" \
		--skip-name-resolve --pid-file="$temp/pid" 2>>"$temp/error.log" &
	pid=$!
	for _ in $(seq 300); do
		if sql 'SELECT 1' >/dev/null; then return; fi
		if ! kill -0 "$pid" 2>/dev/null; then break; fi
		sleep 0.2
	done
	cat "$temp/error.log" >&2
	exit 1
}
sql() { mariadb --no-defaults --user=root --socket="$temp/s" --batch --skip-column-names --execute "$1" 2>&1; }
start

version=$(sql 'SELECT VERSION()')
echo "MariaDB $version"
if [[ $version != 10.11.19* ]]; then echo "this was seen on 10.11.19"; fi


SOCKET=$temp/s PORT=$port java -cp "$jars/mariadb-java-client.jar" "$temp/Ask.java"
