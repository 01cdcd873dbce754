package ordering

// Wake readies the lanes that were to wait until now or before.
func (l *Lanes) Wake(now int64) {
	for len(l.late) > 0 && l.lanes[l.late[0]].until <= now {
		i := l.late[0]
		last := len(l.late) - 1
		l.late[0] = l.late[last]
		l.late = l.late[:last]
		l.down(0)
		l.lanes[i].until = 0
		l.line(i)
	}
}

// Next is the first instant for which a lane waits, and false if none does.
func (l *Lanes) Next() (until int64, waits bool) {
	if len(l.late) == 0 {
		return 0, false
	}
	return l.lanes[l.late[0]].until, true
}

func (l *Lanes) earlier(a, b int) bool { return l.lanes[l.late[a]].until < l.lanes[l.late[b]].until }

func (l *Lanes) up(n int) {
	for n > 0 && l.earlier(n, (n-1)/2) {
		l.late[n], l.late[(n-1)/2] = l.late[(n-1)/2], l.late[n]
		n = (n - 1) / 2
	}
}

func (l *Lanes) down(n int) {
	for {
		least := n
		for c := 2*n + 1; c <= 2*n+2 && c < len(l.late); c++ {
			if l.earlier(c, least) {
				least = c
			}
		}
		if least == n {
			return
		}
		l.late[n], l.late[least] = l.late[least], l.late[n]
		n = least
	}
}
