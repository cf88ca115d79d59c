#!/usr/bin/env bash
# HikariCP: setPassword() and setUsername() on a running pool report nothing, and change nothing.
#
# Ran:       HikariCP 2.7.9 and, for comparison, tomcat-jdbc 9.0.70 and c3p0 0.9.1.2, with MariaDB Connector/J 2.7.6 and MariaDB 10.11.19, all of
#            Debian 12, on 127.0.0.1. Later versions were not tried.
# Guess:     connections that the pool opens after setPassword() or setUsername() use the new credential.
# Behaviour: with a JDBC URL, HikariCP 2.7.9 takes user and password when the pool starts. Both setters succeed, and the getters return the new
#            values, but every new connection logs in with the credential of the start. The refused logins are tried again until
#            connectionTimeout. tomcat-jdbc and c3p0 use the new credential for the next connection.
# Matters:   a program that reads the secret again and hands it to its pool believes that it has rotated, and locks itself out, once the
#            connections from before the rotation have ended. Its log of the pool's settings shows the right user name. Make a new
#            HikariDataSource with the new credential, switch to it, and close the old one; or pass a DataSource that reads the credential
#            whenever it connects (setDataSource). After an upgrade, try it before you rely on the setters.
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
	apt-get download libmariadb-java=2.7.6-1 libhikaricp-java=2.7.9-1 libtomcat9-java=9.0.70-2 libc3p0-java=0.9.1.2-10.1~deb12u1 libslf4j-java=1.7.32-1 >download.log 2>&1 || { cat download.log >&2; exit 1; }
	for package in *.deb; do dpkg --extract "$package" java; done
)
jars=$temp/java/usr/share/java
cat >"$temp/Ask.java" <<'JAVA'
import com.mchange.v2.c3p0.ComboPooledDataSource;
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.PrintWriter;
import java.lang.reflect.Proxy;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import javax.sql.DataSource;

public class Ask {
	static volatile String user = "app", password = "Old-1";
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
	static void expect(String text, String got, String want) {
		System.out.println("    " + text + ": " + got);
		if (!got.equals(want)) failed++;
	}
	static String ask(DataSource pool) throws Exception {
		int before = refused();
		try (Connection connection = pool.getConnection(); ResultSet rows = connection.createStatement().executeQuery("SELECT CURRENT_USER()")) {
			rows.next();
			return rows.getString(1);
		} catch (SQLException e) {
			return refused() > before ? "refused" : e.toString();
		}
	}
	static HikariConfig config() {
		HikariConfig config = new HikariConfig();
		config.setMaximumPoolSize(1);
		config.setConnectionTimeout(3000);
		return config;
	}
	static void reset(String name) throws Exception {
		sql("CREATE OR REPLACE USER app@'127.0.0.1' IDENTIFIED BY 'Old-1'; CREATE OR REPLACE USER app_clone@'127.0.0.1' IDENTIFIED BY 'New-2'");
		System.out.println(name);
	}
	static void end() throws Exception {
		sql("ALTER USER app@'127.0.0.1' IDENTIFIED BY 'Later-3'");
	}
	static void evict(HikariDataSource pool) throws Exception {
		pool.getHikariPoolMXBean().softEvictConnections();
		Thread.sleep(500);
	}
	public static void main(String[] args) throws Exception {
		System.setProperty("com.mchange.v2.log.MLog", "com.mchange.v2.log.FallbackMLog");
		System.setProperty("com.mchange.v2.log.FallbackMLog.DEFAULT_CUTOFF_LEVEL", "OFF");
		String url = "jdbc:mariadb://127.0.0.1:" + System.getenv("PORT") + "/information_schema";
		Class.forName("org.mariadb.jdbc.Driver");

		reset("HikariCP with a JDBC URL");
		HikariConfig config = config();
		config.setJdbcUrl(url);
		config.setUsername("app");
		config.setPassword("Old-1");
		HikariDataSource hikari = new HikariDataSource(config);
		expect("at the start", ask(hikari), "app@127.0.0.1");
		hikari.setUsername("app_clone");
		hikari.setPassword("New-2");
		evict(hikari);
		expect("after both setters, the user name of the settings", hikari.getUsername(), "app_clone");
		expect("after both setters, a new connection", ask(hikari), "app@127.0.0.1");
		end();
		evict(hikari);
		expect("the password of the start has been changed", ask(hikari), "refused");
		hikari.close();

		reset("HikariCP with a DataSource that reads the credential whenever it connects");
		config = config();
		config.setDataSource((DataSource) Proxy.newProxyInstance(Ask.class.getClassLoader(), new Class<?>[] {DataSource.class}, (proxy, method, arguments) ->
			method.getName().equals("getConnection") ? DriverManager.getConnection(url, user, password) : method.getReturnType() == int.class ? 0 : null));
		HikariDataSource reads = new HikariDataSource(config);
		expect("at the start", ask(reads), "app@127.0.0.1");
		user = "app_clone";
		password = "New-2";
		end();
		evict(reads);
		expect("the other account", ask(reads), "app_clone@127.0.0.1");
		reads.close();

		reset("tomcat-jdbc");
		org.apache.tomcat.jdbc.pool.DataSource tomcat = new org.apache.tomcat.jdbc.pool.DataSource();
		tomcat.setDriverClassName("org.mariadb.jdbc.Driver");
		tomcat.setUrl(url);
		tomcat.setUsername("app");
		tomcat.setPassword("Old-1");
		tomcat.setMaxActive(1);
		tomcat.setMaxIdle(1);
		tomcat.setInitialSize(1);
		tomcat.setMinIdle(1);
		expect("at the start", ask(tomcat), "app@127.0.0.1");
		tomcat.setUsername("app_clone");
		tomcat.setPassword("New-2");
		end();
		tomcat.purge();
		expect("after both setters, a new connection", ask(tomcat), "app_clone@127.0.0.1");
		tomcat.close();

		reset("c3p0");
		ComboPooledDataSource c3p0 = new ComboPooledDataSource();
		c3p0.setDriverClass("org.mariadb.jdbc.Driver");
		c3p0.setJdbcUrl(url);
		c3p0.setUser("app");
		c3p0.setPassword("Old-1");
		expect("at the start", ask(c3p0), "app@127.0.0.1");
		c3p0.setUser("app_clone");
		c3p0.setPassword("New-2");
		end();
		expect("after both setters, a new connection", ask(c3p0), "app_clone@127.0.0.1");
		c3p0.close();
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


cp=
for jar in mariadb-java-client HikariCP tomcat9-jdbc tomcat9-juli c3p0 slf4j-api slf4j-nop; do cp=$cp:$jars/$jar.jar; done
SOCKET=$temp/s PORT=$port java -cp "${cp#:}" "$temp/Ask.java"
