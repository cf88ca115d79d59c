package workflows

import (
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/rotation"
)

// SearchAttributeTypes are the types of the search attributes by their names, as
// a namespace has to have them.
func SearchAttributeTypes() map[string]enums.IndexedValueType {
	types := map[string]enums.IndexedValueType{}
	for _, key := range []temporal.SearchAttributeKey{rotation.RotationStatusKey, rotation.LastRotatedDateKey, rotation.NextRotationDateKey, rotation.DatabaseHostKey} {
		types[key.GetName()] = key.GetValueType()
	}
	return types
}
