package rotation

import (
	"strings"
	"testing"
)

func TestMasterServerMustBeComplete(t *testing.T) {
	for _, tt := range []struct{ fields, want string }{
		{`"MasterHost":"db","MasterPort":3306,"MasterEngine":"mysql"`, ""},
		{`"MasterHost":"::1","MasterPort":3306,"MasterEngine":"mariadb"`, ""},
		{`"MasterHost":"db","MasterPort":3306`, "give all three"},
		{`"MasterPort":3306`, "give all three"},
		{`"MasterEngine":"mysql"`, "give all three"},
		{`"MasterHost":"db","MasterPort":70000,"MasterEngine":"mysql"`, "MasterPort is 70000"},
		{`"MasterHost":"db/x","MasterPort":3306,"MasterEngine":"mysql"`, "MasterHost must be"},
		{`"MasterHost":"db","MasterPort":3306,"MasterEngine":"postgres"`, `MasterEngine is "postgres"`},
		{`"MasterHost":"db","MasterPort":"3306","MasterEngine":"mysql"`, "MasterPort: a whole number is expected"},
		{`"Masterhost":"db"`, `do you mean "MasterHost"`},
		{`"MasterHost":"db","MasterHost":"db"`, "given twice"},
	} {
		for name, in := range map[string]interface {
			UnmarshalJSON([]byte) error
			Validate() error
		}{"rotate": &RotateUserInput{}, "delete": &DeleteUserInput{}, "create": &CreateUserInput{}} {
			text := `{"SecretId":"app",` + tt.fields + `}`
			if name == "create" {
				text = `{"SecretId":"app","MasterSecretId":"admin","Username":"u",` + tt.fields + `}`
			}
			err := in.UnmarshalJSON([]byte(text))
			if err == nil {
				err = in.Validate()
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%s: %s: %v", name, tt.fields, err)
			}
		}
	}
}
