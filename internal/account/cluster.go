package account

import (
	"context"
	"fmt"
)

// groupName is the group that a server of MySQL belongs to; it is there only with the plugin of Group Replication.
const groupName = "group_replication_group_name"

// waitForMembers makes what the session changes from now on wait, where the server belongs to a group, until every other
// member that is online has it too: a login never waits for replication.
func (a *Admin) waitForMembers(ctx context.Context) error {
	if a.server.variables[groupName] == "" {
		return nil
	}
	const how = "SET SESSION group_replication_consistency =" +
		" IF(@@SESSION.group_replication_consistency = 'BEFORE_AND_AFTER', 'BEFORE_AND_AFTER', 'AFTER')"
	if err := a.exec(ctx, how); err != nil {
		return fmt.Errorf("make account statements wait for the members of the group: %w", err)
	}
	return nil
}
