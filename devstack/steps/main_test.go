package steps

import (
	"flag"
	"runtime"
	"strconv"
	"testing"

	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
)

// More tests than processors run at once: those that are parallel mostly wait for the product to look again.
func TestMain(m *testing.M) {
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		if err := parallel.Value.Set("4"); err != nil {
			panic(err)
		}
	}
	mysqldtest.Main(m)
}

// lag is the delay until a write to Secrets Manager can be read, in every lab.
var lag = flag.Duration("lag", 0, "let Secrets Manager's reads lag behind its writes by this time, as AWS's do")
