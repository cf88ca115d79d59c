package account

import (
	"testing"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// The administrators of clouds may not KILL sessions of others, and call a procedure of the cloud
// instead: mysql.rds_kill on Amazon RDS, mysql.az_kill on Azure.
func TestProceduresOfCloudsEndSessions(t *testing.T) {
	each(t, func(b *bench) {
		for _, procedure := range killProcedures {
			b.clean()
			b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "CREATE PROCEDURE mysql."+procedure+"(IN thread BIGINT) KILL thread")
			b.Cleanup(func() { b.exec("DROP PROCEDURE IF EXISTS mysql." + procedure) })
			session := b.open("app", "Aa1-first")
			a := b.ops("GRANT CREATE USER, PROCESS ON *.* TO %s", "GRANT SELECT, EXECUTE ON mysql.* TO %s")
			states, err := a.source(b.Context(), grants.Pair{Source: pair.Source, Standby: "app_clone"})
			if err != nil {
				b.Fatal(err)
			}
			powers, err := a.powers(b.Context(), states.Others)
			if err != nil {
				b.Fatal(err)
			}
			if lacking, err := a.lackingToEnd(b.Context(), powers); err != nil || lacking != nil {
				b.Errorf("with mysql.%s: the administrator lacks %q, %v", procedure, lacking, err)
			}
			ended, err := a.Revoke(b.Context(), pair.Source, pair.Mark, nil)
			if want := (Ended{Ended: 1}); err != nil || ended != want {
				b.Errorf("with mysql.%s: %+v, %v; want %+v", procedure, ended, err, want)
			}
			if session.PingContext(b.Context()) == nil {
				b.Errorf("with mysql.%s: the session is still open", procedure)
			}
			b.exec("DROP PROCEDURE mysql." + procedure)
		}
	})
}
