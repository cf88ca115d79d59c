package rotation

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/rotate-user/rotate-user/internal/address"
)

// MasterServer is where the administrator logs in, for a master secret that names no server and has no tags of RDS. Either all
// fields are set, or none.
type MasterServer struct {
	MasterHost string `json:"MasterHost,omitempty"`
	MasterPort int    `json:"MasterPort,omitempty"`
	// MasterEngine is mysql, mariadb or aurora-mysql.
	MasterEngine string `json:"MasterEngine,omitempty"`
}

// validate names the first field that is wrong.
func (s MasterServer) validate() error {
	if s == (MasterServer{}) {
		return nil
	}
	if s.MasterHost == "" || s.MasterPort == 0 || s.MasterEngine == "" {
		return errors.New("MasterHost, MasterPort and MasterEngine go together: give all three, or none")
	}
	if s.MasterPort < 1 || s.MasterPort > 65535 {
		return fmt.Errorf("MasterPort is %d: must be 1 to 65535", s.MasterPort)
	}
	if _, _, err := address.Parse(net.JoinHostPort(s.MasterHost, strconv.Itoa(s.MasterPort))); err != nil {
		return errors.New("MasterHost must be a host name or an IP address, without a port")
	}
	switch s.MasterEngine {
	case "mysql", "mariadb", "aurora-mysql":
		return nil
	}
	return fmt.Errorf("MasterEngine is %q: must be mysql, mariadb or aurora-mysql", s.MasterEngine)
}
