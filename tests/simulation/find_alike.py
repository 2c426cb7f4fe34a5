# Finds two names of Licenses in namespace centre whose bases of pool agents have one object name (src/seats/ledger.rs
# object_name): a rho search for 48 bits, about 2^24 hashes. Prints both names; put them into alike-0.txt and alike-1.txt.
import hashlib, random, sys, time
T=[''.join('a'+('.' if (b>>i)&1 else '-') for i in range(8)) for b in range(256)]
TB=[t.encode() for t in T]
H=hashlib.sha256
def f(x):
    n=b''.join([b'centre/',TB[x[0]],TB[x[1]],TB[x[2]],TB[x[3]],TB[x[4]],TB[x[5]],b'a/agents/0'])
    return H(n).digest()[:6]
def name(x): return ''.join(T[b] for b in x)+'a'
random.seed(7)
seen={}; steps=0; t0=time.time()
while True:
    s=random.randbytes(6); x=s; n=0
    while not (x[0]==0 and x[1]==0 and x[2]<16):
        x=f(x); n+=1
        if n>30_000_000: break
    steps+=n
    if x in seen and seen[x][0]!=s:
        a,la=seen[x]; b,lb=s,n
        if la<lb: a,la,b,lb=b,lb,a,la
        for _ in range(la-lb): a=f(a)
        if a==b:
            print('robin hood',flush=True); continue
        while True:
            fa,fb=f(a),f(b)
            if fa==fb: break
            a,b=fa,fb
        print(name(a)); print(name(b)); print(fa.hex(), steps, time.time()-t0)
        break
    seen[x]=(s,n)
    print(len(seen),steps,int(time.time()-t0),file=sys.stderr,flush=True)
