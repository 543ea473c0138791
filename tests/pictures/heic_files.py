"""HEIC files of 8 x 16 pixels, drawn by us and encoded without loss by pillow-heif 1.8.1, which Tarsia never installs.

The left half is (90, 30, 200), the right (90, 220, 200); of 16 bits, which the encoder makes 10, 257 times that.
`rgba` is transparent on the left.  `turned` says so once in EXIF and once in the format: its upright picture stands.
"""

from __future__ import annotations

import base64
import zlib

import numpy as np

_GREEN = np.broadcast_to(np.where(np.arange(16) < 8, 30, 220), (8, 16))
RGB = np.stack([np.full((8, 16), 90), _GREEN, np.full((8, 16), 200)], axis=2).astype(np.uint8)
ALPHA = np.where(_GREEN == 30, 0, 255).astype(np.uint8)
DEEP = (RGB.astype(np.uint16) * 257) >> 6

_PACKED = {
    "rgb": (
        "c-"
        "muNV30{GsVvAy&8%Pmg51nBLl8SRGck>Ufw3+(wIq=N0u(b+a*CjAhJwuG5(YG&l$n#C3}U!AFfalk5HK!+&<qSr=|Dm`Gczv@%ms;x0"
        "y(KnP+mq^vLT4cSCCnf3s>?lv!JK|NZ-pWNX`e+<v?Z5j4T{L<~$3KqW>Ql{`~*(gMopcIRU6c+<}pY@&A920%ouZW}uQ?Ob&@aIV~qf"
        "MpTIjECLFf?uK5Dxx-"
        "?@AOI9&oB)y#Xh;Go=Wt;>SYVK_Q2}U+aB_Z5QC@OR1yG!qfuR8?B$8QNkP7v<0~Bi{=Olt$D*$yp$eBRb{J#M5Kaf5FqCxTnnH8BJjm"
        "#VzAT<)11-"
        "Y<L1_m5!BNH=g3s7l(Zb~9Bl$nw>7}v9I;yBaV+@Q~TWb^<3*8hrs_MfO>KLA4f2mZj&RQ~@zg~J)*F8*F@QT~|k@|L&O{zhju>zoD>+"
        "Ux3nD?I=IkN<<+c{QJzMyaQ#>&5IWy2o;sMez#b{Pq3UCto|f%B^3@CgbDcV-t2cz2sh^2ce`I7-"
        "XhwIef`%?t3Gxa~ljCKgb`RJ1ga{!p<_z;6n`zRx2(E>e<GYDs${v*Q2)k@vkr-&Yv3Vz+jT?8KxN|q#h6=An6#qsAO_65O-"
        "cT4EhpcXjY;pH{<{R_m}Pm2d>?{M(JW{8)xnu!Gxrc+rTiGvEZL*LYS`Js<M+;+89`RG8@)PIqXbeD7c(8;n2MRjo+Jj)C`xpMc=wv@o"
        "mAy)lR<{7}#x<cUe6DZ5S{`CE6*FlPzK)5HFG9y~Cg~vFFeQww13RNi=QhNJ;w<dIpGZKiTU!UD;ksmF4IE|MD`H`#PGqmvFY0%$UP-Q"
        "Mv6AFhXyyG*-_&!^CvBHTIF}fhAhc?e)t)-"
        "OISZ@NCH)nVIX)z4Z0r_~mF@smqhGZ%M?QoezMK|8Ut=@2A3USLNOJ9I4f9cFbJc?3l$XRm8wmd~f~=+rZG?-MJ6S-"
        "ldor?E&Hg7Y}O}e=NAbaESl^Z`)<bJlhr+Y;;*Bw!Gw>Usd{+xCWt&oqKOi*nN&?|MNzr{No?i?@M~DvVC_EgPe)LB8yGMmA@W^HF;0>"
        "Jo?PYbC>w(#B|#m41Z^zG@Y`odE4V1*RuOQZ$Esi7>MtyvoY}hT>shr)IamP-)rK_@BPe|2H~fBU!D1Q>?Ht$?0iN"
    ),
    "rgba": (
        "c-nPR3pkWn7(O$`Eti=@gvUKJjL>8!C6~l%s9cgBlxfVEzh;=mxU_|F$?8eDbk~I~T`1(Tgh-"
        "?twJt@7u~fEg6|rTIf6tF<+vnNyocDa+dB6Ak=X~G)0RXhw!o7SB3yB7B@DR2Y=JOB+8vs0y#}YEY+|cI)a|QE0;3G^S_|Kps+%P8QI6"
        "DA5z+oOfW6nY^1afc?CcZLGaG@bcD0^-Tp$0dsSsB!DBAHg;I}-"
        "nmROTZ>9++3+t|NQ_AKD~@&kTcH6qK#Q5#*qIo`#9g5ipHTOaMTX3W6up9dL>`6vYHmvkECFslq!jV2td9!+jq}Cy?|?dbhL(ydY2k33"
        "9k}EI<<NgmO7&+#SAUP_Z7oWf3!sD+pzBqam*ZfCy5mNI0K0Umu5gm@>Hx_*(2!v$epU315S@U@1cTV7?k8J`#;!2c_iXFwLHCS!GXr$"
        "!hw4vceSq%F6g_R$l^j353P|`Bl5m;IX|mw%|!vMlvv?J%?20iahrK9CoJ(BO-bowu=yi+Vc3U5L*r_l4)ygX|>W8hLB*}**~L)@OfWa"
        "26lmTJYGsV3E-uZrDRi*Ag754SnT<@GCaqf?G;!DLNPCx0h<cXG{qH3m&i3ANE9uXzFUf-"
        "t7pO`X%F_x)?t%aH~nQEC!&%?Tfz3$sf)CzLFM+c;nkb0n@i1`;9^!7H>Ed(&Jah|{$}ic+M3mL(juTz&_{So(0_`{E=ub>+R>2jlBT("
        "aGkWn}dX>`~g<Oj{qbUN~$I2SoY|g#6CO^4h={Ta>a4swOvtDJSym!3_*j{a0Xkix^VJLU2Fx9wvaMBkd?0BF9pze0_UFM}?ve}2U#L@"
        "eL@Mt*1!A>i$aUUxip@q&V6n)<&_Vz5OzHZPOku1+UyD(^{PY<lpshk<LAYY0_e&oZa$$*fGhzc|vDuV#OeOG#Y-"
        ")7UPQbl8{OD_K1UC|$NTCX`x0w8N=SVbF}vf6yi$lu9RUdHbih+Ivj7r-"
        "bZwZ26r@9ls_LP<(6dtys7M9<3_x08nU<fQ}&it1{ws!d5y$dx}JJatyF)i8MgHfB%W3KL#49^Y^vaA0X&E_uj)dDMqKP78RQ`$GG4(U"
        "UhG?sAikc6%v`oZ4K!vz7g@iGRQRjQ(no%QIcqTX$n9iH=A?qT?<lO#xUC-j{vV&U4G*YF>ZjyI`vIEr`0-"
        "2D9){eha84qEmL4nTq8(mc`DO7he&++xSyR*>;f%r?RFiz50pb?V)&su=^uLwL1rmDyjuQhf2CYD+%8_IpCW>Kk3%^+S;v3y@?TG_Z)m"
        "a^Kj*{^2GANn;pB4j8!yrheL=>WB^f8G-m&3=7-)-`*%e3Ny4-"
        "+ysG)LdGy{J*k)@@afJ%O3$4@^+TT18hrUC5<9L(r&r7hGEkVD|>6J%FiZh#T8{6yFE{$pwtM3mSjcOCqV<_Vlb4C?_m-"
        "Q}m_drj127O!lP{eZ&>wJ%orJd@&t{3(I;27!`K;b0R^%PW<mA@5q1~AwB+NseQFj@u(8#{QpHZoT-"
        "Sc^A4-L}4KD3uktcW}wj@h9&dnc2{etwv}1l`66{AJOb<FX^GpI?7E`=CyYL-gW1R6=qMJ7sO}RxNUe_tmE<E+RUYz!mE)YTthPXj89`"
        "$0R6t~l)s0~_1I?=K|vq2Q9A(ugO1aw!^^i)yN~Cs@3_Q0Xap7+xB+=1dKp-7*o3^wB-13MEk^&~c=oubM$>0i7pmv-"
        "`^DT+hh@6i=*NTHCc1{j#vqNjRX;lqgsr<ZHV!~sZ(J6tCK0cm81DNdj*StIiPQF>F=H(Nr&O_u{6WQEWguRy-"
        "m53HHHp1DGw;Z7;imHd<h4;Q%0#v?rm`zf#12WQElIH+RDEjeI3FYgw9|6hD2FC=<MU%>|0wU;kVPr?D(_~~6*zj*nJ6muuDQY8?(Fzj"
        "pCRk+ZmjsDWdlt_$htEUAkI7)KhoDCj#2g1;G|PO+}85cl>nmFUp}N<zk4|yWUW(=OiOl@XOPR-"
        "BNvG0eSo<T7m{~cHEdsJ4P*P?AIwWgXAhYtnV0NI0TyFEujxnK*U+Ry+R9*%K-@QRM@mc}4p3uU`~LyXRmGA"
    ),
    "grey": (
        "c-"
        "muNV30{GsVvAy&8%Pmg51nBLl8SRGck>Ufw3$%wIq=N0u(b+a*CjAhJwuG5(YG&l$n#C3}U!AFfalk5HQYy&<qSrsz5?HGczv@%ms;x0"
        "y(KnP+mq^vLT4cSCCnf3s>?jv!JK|NMFk=NX`e+g+OJ_j4T{L=KLQZMgKoA{Q2_($mC~E0O}BTVB}%^{~x4)8LWaCsALzDLn2U4&54l_"
        "RpLMsi&*rkUD>mlKzt(*!6c9bRLbVUc(AZr2xz`=a(+%xUUE(aP?VQ}p#dl)l384k3iYxB6l)~sB!b*20ChLWfk1cszX0+%kUjyTA-"
        "=1~1bYsoLL##u7Z$p}0Ap=rVrFdtD%8zQNd$&2lcEOWI_?xfbyi0E9n<RnKd(PmZ}^kH;Rgsc{*Z^GKc;;GJb!EI_RQNR8)Q;(@v(cao"
        "Js2?agSKV5-"
        "_E3g@NJ8(q(cJx4f^M7*^WY#NY5w=FMgGm#n8RS~M^yY!*>{Hn|}xDs0l^%$T(PTpl2na@f0oL8&M?rLlL5M%mmYy0<D$UY{ZX#OjId<"
        "*A~xEv8ui{}&RlK=!{ZSLyqoey=(nPI<Lh;RpkhyX4e^Qfjx0Qe;eb3FM1*YDUa_?_pH!!0>R{RmIjl3j)8VN%$mt^=#j|>Em0+#o-"
        "DK3>;hf6M3Cw+Y3u#+*mI$yy4ye#G5z#xxk>MA2Khbgx$MMu_Z^M<J8L389=;hW#gM@oeP@s^Z$SRczE`U4uxF~Gr~PP51bXU$Wvips6"
        "SiZ_;35|cYjmv>7TCS-hJ=aed(urUobGVo!V0^we;mTeut#6jCmgtRCT8N=lFR)Z(z{Mw~kXRHg-v!nG`!M!>wP51Bj&@3J)-"
        "G8u27B+AY1ea+T$(Wv4n%y!Gll@lHKN=+G?=)=B^WpRbtv^DCz@OGZh;BpHt@CW@*%8dzrO<(H-"
        "CeQwtO`M_iL$3NQdXY4qs`|eHydoPPdpU#|nbvvdmnDq2gVP(&xyw*=Q(x)<TOV0^cidH#vBTS?!F_JUiF%gJU_wgw(?B04gOLwBSK!N"
        "nv!~@lzZnlH)>GEFrz#jkruS|g"
    ),
    "deep": (
        "c-"
        "muNV30{GsVvAy&8%Pmg51nBLl8SRGck>Ufw3+(wIq=N0u(b+a*CjAhJwuG5(YG&l$n#C3}U!AFfalk5HK!+&_LE)AfcR@nU@CP0<kENl"
        "gb3;Wt1fwf|z^-nI*Y!CI2!DiVA@Az088-d>~y8ROZac!U1H?u>dLh|AFDp|6jit82FhJfI7q-7<m}~{|6~x2CHBOD%r*4kO-"
        "91a$;mem6*UHpfFqaYOLwm1I`YNATdc0!N`#WRL<eTc(A}AVWR@j7UAUloT9wsoC=^gF9SmZP)H=RxF8kkaR(^YNX|(FxmEz`dXO`LuK"
        "9lfNHYQH6CfHSUyxam3DU^S#l;1rBr*$fVWA8RIMzlcX4V!Ub7^i$A~2L0XKFC6XWhiHjJ=>ipY_OQpn>(jxc}Atx2`va!T%_5D*ykV!"
        "r=^YUvBWta$b7rl6Js)C_FBJ47aHN-^5q{|Ht${?tjdG=->Lg9*Az&Zik_*54@fq$YW$<c>iUd{gTVST=%<Ozi{-6VJ%O*v-"
        "pK8UrcRz{hfp1jJ6o%PrM(cG_AiR-BjW*NwjxRI&gOW|9_hwUrRK4&$ZZ*?fs)=X9V&YtDm^4u)gnMeP4aEv#n?j1C#3M`pE2gVYAg4<"
        "uc_mo^@3&sXp!gc+tW4y7GP9B6aTT85s1c`<E9^zr*o%dCuFMw;3kJTQ@&(RbAM1exk^<Hl3ho+wMO*D$ePhZT$cLZM*IIWY;g7m&t4o"
        "dd>OpbZPAS<8h(o`>vMneV6foLEQHE<>g&P2{~^gZ@rA!H<hhpRo4@(Cu%ia5o>uOR<%`0FbK`FxVcl=RLo$<!ou9U6Ef#9DKNhXei4w"
        "!TrqXgDg}mkZcep(fA%^600A}|zW"
    ),
    "deep rgba": (
        "c-"
        "muNV30{GsVvAy&8%Pmg51nBLl8SRGck>UfhjjPwIq=N0u(b+a*CjAhJwuG5(YG2l9`jA3}U!AFfcJNf>=xwAv6O6<6NK^5U}XMMc9CZM"
        "P_DR8kh@`6$Nrq!ODPYGRl$-"
        "8Bhe75Q2OKnI*XlP?d~pG7E|dfOJb{L2^D&tQ@G!nURG9$ed#VQuO}=!=L}ZelalcGbaFbh&wRyF#i7!QosyW!3<Qgi^(AoD5vGb$cQR"
        "2fki-Jw(iwf)3XPh9T-7kk|2VSBMGRS!-"
        "er+fkDDX1)wd$$@w`&dC55yKyh9Mh6bRJNM><CDl~i?pjab0ClTmc1_6lc89>eiy5|1{kQagU320~t6l7Lpf;2L7ad82uLWHm8{($-"
        "F4-"
        "Q{}R3Q0E4el$L#DOLj;nZELm+jmDbUHILh+t3z`G^hZqrz?>NFYNTzzDKlJ+ZXH8N@3s%CpKXNKLoONG(gYGBPkUwE{|IrdWYvMj^8x7"
        "nWpzserYSiJ7&9fr+(^nZ2V0C?=Izl$r*W=L71?0jCvUI54fwO-TeMD#n=_jO$r9aV%pmXwYXpvKbgK^}o3P)%~}wH-"
        "^FgC~zwO|DVF)3~^s>@Xc~wdg+pOz<MY=E`SWTsQ=%@SO5RV^gr%@%zx<L`nw*8Zr5&yp{)<Ro*&2qrpxzV=GiZ~{L6K}+w}`azZll?#"
        "5;>$xbnr+me=1o7|v*mQU1jHQA*SLOVUjx4wFQC2c-jN=l}n=`SG<xqxW2k9ogPLT6RVtpRxLhs|xG;9@h8OH#^&k<}fg+p01C~o)<P-"
        "ol!1RF5_8O<&x^t?vEE8e6K6t*DX@#zMg?WueyJE;q*HkZ<pu1&3T()V!U<p6Ia!RUFRo?Ol#8#ini_kv!mji-"
        "r2_g|KGOTu1|LTvU!=z_Mq3C4^NlIzCRupTE6dU`QCRK4;aL4k6&KiRg{qPHuBcXn0-^(I#zW((R!j*(-"
        "pCnCt_7wl>~#(Jd2w<l}*JAb}TH+y*nXu9+Lv|i{KXliOdyK7p+oYi09^1yZ2`=F!3@nX)vziPO&XmrC`5fTK)gu@Bi1<-"
        "@E_r{aYCPj|zXsKG1d0{x_%p%f0_T{Vy$lDb;n%U!?w`^Ove!r~jhh7gOMjS2J%EwM2_lY+sZ4qe0)~=KuenH0zwJBUT-KsBZD?Dd&?p"
        "kMF(iU!GsS>+#)pJ6`wv+@6#6?Ty*%)Bpb;^7-"
        "M!D*EEj?Gmjy>$k1Fu&Qy%y;9i)ndTW%zDv&h``Ezn;N!}5#>L%Ihfh1WJGiT;1IhZH?>EIC$UnCI=KAA&9phvM#*>dO+zD$J;%zOe^Q"
        "!Z5<pPp>CFBj`?bo}pp9#O%`1x0M?HUCDFFWGm"
    ),
    "turned": (
        "c-"
        "muNV30{GsVvAy&8%Pmg51nBLl8SRGck>Uf$?N+YDppk1Sn>t<P<^K3<a6VB@Af5Br_*J8N_gLU|?ck1hE+3LTCmCrgWef5U_;6L>N?n*"
        "djACFAbsqh(&>%RIoCjnvAk!Lk1*4MvxNMicGL_zJkn>Tn4C0Mvlyaq5>fMd1gU!K9DX4>UCyh;Q%t{S%4J%|G@C)|BoLG4E)RqKpo-"
        "^j6970|AQ1TgH<pCmF!}2NCe7hIWaP#N=#r8P}p=g^m5D{783>mpcvx>kc2=(5>PpZ3**58gM^I=KwE^9^K**wl5;A6;=BwD4L~80%;J"
        "JnsDB-xSR*+n5#(9{i0c_Z&IG#V{{>Je0O=FZ&=4rdtjGjuWai)iso~5l$}a&rh(R*5AQu)Zj0}uyjZDm}Ep0%KRAy0X8dQQWIi)xm91"
        "lP{m?r0@BmyIhDOrPYJ?kcpGp)@H`m9Gb|Nn3OulQ&Gi5m6;AjE&*4-"
        "8G^|Nm1soFVSw@5L77kNGZdd28)&bY`>8X&|A!uKu^e^Z)<&KiHjD^O<RsdV0EE%+8{FEN591uQ1ME-"
        "+z7bwZp62`lW0#J}y2sVVBcO?j?E<N~(cDX3Cbsm(1qAH_|${!NBo@{NcH?QvNFJEaMD5)WBf1;*y}AZEUGB$DVaPYP%o*3IpQ&sj&_W"
        "CfS~0nn6P90U-"
        "jCj=_scCKm&7=XJxNFCm6zC3<o*{{Me}>3(qF+TClEE|#`&=FSmJND8^lz{omd!9UT2FkQV>Whbw+F|hPxHmsF$*qOjka5-"
        "zjp?d)uzc=%!87_5;zIC(W+k%U$oqjPeu-hu{vUvX6Fkp&Gv{N7_Tf{;jULwVNhe2gx&!G!!D_=j7Xxh|~lJ+C?3=rRbve$FEvb~ln%g"
        "_J+<z+1Qbu@7=;cP9LF^A`(a@!+dq~Bg?te$&@iRo}_>?73!OSGQb>z9AJmvMpN*^)alGuNMc>FdMs%h9${mnUQ2l88Aw9{>}`!(~^!p"
        "9;HOm3QBBq*k}tF>`IRV-~Me5d&B8z4<F_14Dav=RPQVmttbH2Z#?`Jgi;(vETy3A^!irZI>nUY+GQk(Pf#~@{)IcRq0#e8iX=-?!7r-"
        "_c@;Z&l{EUkAGOdFX^$$_T5DcawY<cEH)Ka{(2PF<UQT<=rbeFUE-"
        "$`(`|1s{GEN$bjr5oZI5?c%kKNU{qU_~Ail58#=!q`{b&1A|IF`xuZb_e_cLD_grDwxb>`!-"
        "m%zlw2Fa(sz6@I61kT7P1j<Ulq{s$IodE2dh(Q"
    ),
}
FILES = {name: zlib.decompress(base64.b85decode(text)) for name, text in _PACKED.items()}
