package main

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/chromedp/chromedp"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/devstack/temporal"
	"github.com/rotate-user/rotate-user/internal/freeport"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/rotation"
)

// TestTheTemporalUI goes in a real browser from the list of workflows to a rotation that failed, and reads why. With PICTURES set
// to a directory, it writes the pictures of the docs there.
func TestTheTemporalUI(t *testing.T) {
	t.Parallel()
	program := chromium(t)
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	port, err := freeport.Port()
	if err != nil {
		t.Fatal(err)
	}
	s, err := stack.Start(t.Context(), stack.Options{Dir: t.TempDir(), Mysqld: mysqldtest.Programs(t)[0].Engine, UIPort: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	e := &e2e{running: running{Stack: s, bin: bin}}
	if e.worker, err = s.StartWorker(t.Context(), filepath.Join(bin, "worker"), "worker"); err != nil {
		t.Fatal(err)
	}
	e.temporal = dial(t, s.Temporal.Address())
	for _, name := range []string{"app", "report"} {
		e.create(t, "shop/"+name, name, "SELECT ON *.*")
		e.starter(t, "start", "shop/"+name)
		e.starter(t, "rotate", "shop/"+name, "--force")
	}
	rotated := e.page(t, rotation.RotateUserWorkflowID("shop/app"))
	e.starter(t, "rotate", "shop/app", "--force")
	cause := e.failReport(t)

	b := openBrowser(t, program)
	b.visit(e.failing(), "rotate-user/shop/report")
	b.picture("temporal-ui-list.png")
	b.click("rotate-user/shop/report")
	b.reads("User Metadata")
	b.click("User Metadata")
	b.reads(cause)
	b.reads("NoSuchAccount") // in the table of the last rotations
	b.picture("temporal-ui-failed.png")
	b.visit(rotated, "PromotePassword")
	b.do("scroll", chromedp.ScrollIntoView(holding("next rotation of")))
	b.picture("temporal-ui.png")

	// From a fleet to one of its secrets.
	if _, err := s.Client.TagResource(t.Context(), &secretsmanager.TagResourceInput{SecretId: aws.String("shop/app"),
		Tags: []types.Tag{{Key: aws.String(rotation.FleetTag), Value: aws.String("7d")}}}); err != nil {
		t.Fatal(err)
	}
	e.starter(t, "fleet", "sync")
	b.visit(e.page(t, rotation.SyncFleetWorkflowID(rotation.TaskQueue, rotation.FleetTag)), "User Metadata")
	b.click("User Metadata")
	b.visit(s.Temporal.UIURL()+b.link("shop/app"), "rotate-user/shop/app")
}

// page returns the address of the Temporal UI for the newest run of a workflow.
func (e *e2e) page(t *testing.T, workflowID string) string {
	t.Helper()
	out, err := e.temporal.WorkflowService().DescribeWorkflowExecution(t.Context(), &workflowservice.DescribeWorkflowExecutionRequest{
		Namespace: temporal.Namespace, Execution: &commonpb.WorkflowExecution{WorkflowId: workflowID},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e.Temporal.UIURL() + "/namespaces/" + temporal.Namespace + "/workflows/" + url.PathEscape(workflowID) + "/" +
		out.GetWorkflowExecutionInfo().GetExecution().GetRunId() + "/timeline"
}

// chromium returns the browser. Without one, the test is skipped; CI installs it.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("there is no browser: apt-get install chromium")
	return ""
}

// browser is one tab.
type browser struct {
	*testing.T
	tab context.Context
}

func openBrowser(t *testing.T, program string) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.WindowSize(1500, 1150))
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	tab, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	if err := chromedp.Do(tab); err != nil { // the browser lives as long as the context that starts it
		t.Fatal(err)
	}
	return &browser{t, tab}
}

// do runs actions. A busy machine draws slowly.
func (b *browser) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		text, _ := chromedp.Run(b.tab, chromedp.Text(chromedp.CSS("body")))
		b.Fatalf("%s: %v; the page reads\n%s", what, err, text)
	}
}

// holding selects the innermost elements that hold a text.
func holding(text string) chromedp.Search {
	return chromedp.Search(fmt.Sprintf("//body//*[not(self::script) and text()[contains(., %q)]]", text))
}

func (b *browser) reads(text string) {
	b.Helper()
	b.do("look for "+text, chromedp.WaitVisible(holding(text)))
}

func (b *browser) visit(address, shows string) {
	b.Helper()
	b.do("visit "+address, chromedp.Navigate(address), chromedp.WaitVisible(holding(shows)))
}

func (b *browser) click(text string) {
	b.Helper()
	b.do("click on "+text, chromedp.Click(holding(text)))
}

// link waits for a link with a text of code, and returns where it leads.
func (b *browser) link(text string) string {
	b.Helper()
	var err error
	for start := time.Now(); time.Since(start) < patience; {
		ctx, cancel := context.WithTimeout(b.tab, 5*time.Second) // a search does not see what is drawn after it began
		var links []map[string]string
		links, err = chromedp.Run(ctx, chromedp.AttributesAll(chromedp.Search(fmt.Sprintf("//a[code[.=%q]]", text))))
		cancel()
		if err == nil && len(links) > 0 {
			return links[0]["href"]
		}
	}
	b.Fatalf("no link with the text %s: %v", text, err)
	return ""
}

// picture writes what the page shows, once it no longer changes but for its clock.
func (b *browser) picture(name string) {
	b.Helper()
	dir := os.Getenv("PICTURES")
	if dir == "" {
		return
	}
	var last []byte
	for range 5 {
		b.do("wait", chromedp.Sleep(time.Second))
		png, err := chromedp.Run(b.tab, chromedp.CaptureScreenshot())
		if err != nil {
			b.Fatal(err)
		}
		same := bytes.Equal(png, last)
		if last = png; same {
			break
		}
	}
	if err := os.WriteFile(filepath.Join(dir, name), last, 0o600); err != nil {
		b.Fatal(err)
	}
}

// failReport drops the accounts of shop/report, so that its next rotation is refused, and returns the reason.
func (e *e2e) failReport(t *testing.T) (cause string) {
	t.Helper()
	admin, err := e.Database.Open(e.Database.AdminUser, e.Database.AdminPassword)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.ExecContext(t.Context(), "DROP USER report@'%', report_clone@'%'"); err != nil {
		t.Fatal(err)
	}
	e.starterExits(t, 1, "rotate", "shop/report", "--force")
	waitFor(t, func() bool {
		return strings.Contains(e.starter(t, "list", "--status", "Failed"), "shop/report")
	})
	var status rotation.Status
	v, err := e.temporal.QueryWorkflow(t.Context(), rotation.RotateUserWorkflowID("shop/report"), "", rotation.StatusQuery)
	if err == nil {
		err = v.Get(&status)
	}
	if err != nil || status.Rotations[0].Error == "" {
		t.Fatalf("%+v, %v", status, err)
	}
	t.Log(status.Rotations[0].Error)
	cause, _, _ = strings.Cut(status.Rotations[0].Error, "'") // of words only
	return cause
}
