module github.com/rotate-user/rotate-user/devstack

go 1.26.0

require github.com/rotate-user/rotate-user v0.0.0

replace github.com/rotate-user/rotate-user => ../
