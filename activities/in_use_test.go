package activities

import "testing"

func TestAnotherSecretsRotationSharesAUser(t *testing.T) {
	t.Parallel()
	users := usersOn{"db:3306", []string{"app", "app_clone"}, func(id string) bool { return id == "own" }}
	for _, c := range []struct {
		name string
		of   rotating
		want bool
	}{
		{"in use there", rotating{"other", "app", "app_two", "db:3306"}, true},
		{"the standby there", rotating{"other", "else", "app_clone", "db:3306"}, true},
		{"the same secret's, by another workflow", rotating{"own", "app", "app_clone", "db:3306"}, false},
		{"on another server", rotating{"other", "app", "app_clone", "db:3307"}, false},
		{"other users", rotating{"other", "else", "else_clone", "db:3306"}, false},
		{"one that has not rotated yet", rotating{SecretID: "other"}, false},
	} {
		if got := users.shares(c.of); got != c.want {
			t.Errorf("%s: shares is %t, want %t", c.name, got, c.want)
		}
	}
}
