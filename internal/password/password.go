// Package password makes passwords and the hashes that servers store for them.
package password
